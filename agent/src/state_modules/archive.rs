//! Salt's `archive` state module: `extracted`, for tar, tar.gz and zip.
//!
//! What is missing decides whether anything is extracted. Members that would leave the folder are refused, and
//! everything is read from the archive by this program itself; only `options` for a tar, which are a command line of
//! `tar`, need that program, and a local policy that allows it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

use flate2::read::GzDecoder;
use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    http::redacted,
    policy,
    state_modules::{
        RunMode, StateArgs, StateContext, StateModule,
        file::{self, Owner},
    },
};

mod tar_options;

use tar_options::TarOptions;

/// The module.
pub struct Archive;

impl StateModule for Archive {
    fn name(&self) -> &'static str {
        "archive"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["extracted"]
    }

    fn call<'a>(
        &'a self,
        _fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move { extracted(args, run).await.unwrap_or_else(StateReturn::failed) })
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Tar,
    Zip,
}

/// One member of an archive.
#[derive(Clone, Debug, PartialEq)]
struct Member {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    File,
    Dir,
    Link,
}

/// What is to be done.
#[derive(Clone)]
struct Job {
    folder: PathBuf,
    archive: PathBuf,
    format: Format,
    members: Vec<Member>,
    owner: Owner,
    /// For the system's own `tar`.
    options: Option<TarOptions>,
}

async fn extracted(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    for key in ["password", "use_cmd_unzip", "list_options", "source_hash_update", "signature"] {
        if args.flag(key, false) {
            return Err(format!("The '{key}' option of archive.extracted is not supported by this minion"));
        }
    }
    let name = args.name.trim_end_matches(['/', '\\']);
    let folder = PathBuf::from(name);
    if !folder.is_absolute() {
        return Err(format!("{} is not an absolute path", args.name));
    }
    if folder.is_file() {
        return Err(format!("{name} exists and is not a directory"));
    }
    let if_missing = args.text("if_missing").map(PathBuf::from);
    if let Some(path) = if_missing.filter(|path| path.exists()) {
        return Ok(StateReturn::ok(format!("Path {} exists", path.display())));
    }
    let owner = owner(args)?;
    let (source, format) = source(args)?;
    let options = args.text("options").filter(|options| !options.is_empty());
    let options = match (options, format) {
        (Some(options), Format::Tar) => Some(TarOptions::parse(&options)?),
        (Some(_), Format::Zip) => {
            return Err(
                "The 'options' of archive.extracted are supported by this minion for tar alone".to_owned()
            );
        }
        (None, _) => None,
    };
    let shown = redacted(&source);
    let is_local = Path::new(source.strip_prefix("file://").unwrap_or(&source)).is_absolute();
    if !is_local && run.mode == RunMode::Test {
        let comment = format!(
            "Archive {shown} would be cached (if necessary) and checked to discover if extraction is needed"
        );
        return Ok(StateReturn::would_change(comment, Map::new()));
    }
    let archive = file::cached_source(args, run).await?;
    let listed = archive.clone();
    let members = run.services.tasks.blocking(move || members(&listed, format)).await;
    let members = members.map_err(|error| error.to_string())?.map_err(|error| format!("{shown}: {error}"))?;
    let members = match &options {
        Some(options) => options.stripped(members),
        None => members,
    };
    let job = Job { folder, archive, format, members, owner, options };
    job.check_top(args)?;
    work(job, args, run, &shown).await
}

fn owner(args: &StateArgs) -> Result<Owner, String> {
    let (user, group) = (args.text("user"), args.text("group"));
    if (user.is_some() || group.is_some()) && cfg!(windows) {
        return Err("User/group ownership cannot be enforced on Windows minions".to_owned());
    }
    if let Some(user) = user.as_deref().filter(|user| Owner::of(Some(user), None).is_err()) {
        return Err(format!("User {user} does not exist"));
    }
    Owner::of(user.as_deref(), group.as_deref())
        .map_err(|_| format!("Group {} does not exist", group.unwrap_or_default()))
}

fn source(args: &StateArgs) -> Result<(String, Format), String> {
    let source = match args.given("source") {
        Some(Value::List(items)) => items.first().map(ToString::to_string).unwrap_or_default(),
        Some(one) => one.to_string(),
        None => return Err("Missing parameter source for state archive.extracted".to_owned()),
    };
    let path = source.split('?').next().unwrap_or_default().to_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| path.ends_with(ending));
    let format = match args.text("archive_format").map(|format| format.to_lowercase()).as_deref() {
        Some("tar") => Format::Tar,
        Some("zip") => Format::Zip,
        Some(other) => {
            return Err(format!(
                "Invalid archive_format '{other}'. Either set it to a supported value (tar, zip) or remove this argument and the archive format will be guessed based on file extension."
            ));
        }
        None if ends(&[".tar", ".tar.gz", ".tgz"]) => Format::Tar,
        None if ends(&[".zip"]) => Format::Zip,
        None => {
            return Err("Could not guess archive_format from the value of the 'source' argument. Please set this archive_format to one of the following: tar, zip".to_owned());
        }
    };
    Ok((source, format))
}

async fn work(job: Job, args: &StateArgs, run: &StateContext, shown: &str) -> Result<StateReturn, String> {
    let mut changes = Map::new();
    let (missing, wrong) = job.state_of_members();
    let name = format!("{}/", job.folder.display());
    let clean = args.flag("clean", false);
    let needed = args.flag("overwrite", false) || missing || !wrong.is_empty();
    if !wrong.is_empty() && !args.flag("force", false) && !clean {
        let list = wrong.iter().map(|path| format!("- {path}")).collect::<Vec<_>>().join("\n");
        return Err(format!(
            "The below paths (relative to {name}) exist, but are the incorrect type (file instead of directory, symlink instead of file, etc.). To proceed with extraction, set 'force' to True. Note that this will remove these paths before extracting.\n\n{list}"
        ));
    }
    let absence = if missing { ", due to absence of one or more files/dirs" } else { "" };
    if run.mode == RunMode::Test {
        if !needed {
            return Ok(StateReturn::ok("All files in archive are already present"));
        }
        let cleaning = if clean { ", after cleaning destination path(s)" } else { "" };
        let comment = format!("Archive {shown} would be extracted to {name}{cleaning}{absence}");
        return Ok(StateReturn::would_change(comment, changes));
    }
    policy::may_write(&run.services.config, &job.folder).map_err(|error| error.to_string())?;
    let mut comment = "All files in archive are already present".to_owned();
    if needed {
        let removed = job.make_way(&wrong, clean).map_err(|error| error.to_string())?;
        if !removed.is_empty() {
            changes.insert("removed", removed);
        }
        if !job.folder.is_dir() {
            changes.insert("directories_created", vec![Value::from(name.as_str())]);
        }
        if let Some(options) = &job.options {
            fs::create_dir_all(&job.folder).map_err(|error| error.to_string())?;
            match options.extract(&job.archive, &job.folder, run).await? {
                Ok(said) => drop(changes.insert("extracted_files", said)),
                Err(failed) => return Ok(StateReturn { changes: failed.into(), ..StateReturn::failed("") }),
            }
        } else {
            let extraction = job.clone();
            let done = run.services.tasks.blocking(move || extraction.extract()).await;
            let files =
                done.map_err(|error| error.to_string())?.map_err(|error| format!("{shown}: {error}"))?;
            if files.is_empty() {
                return Err(format!("No files were extracted from {shown}"));
            }
            changes.insert("extracted_files", files.into_iter().map(Value::from).collect::<Vec<_>>());
        }
        comment = format!("{shown} extracted to {name}{absence}");
    }
    if job.enforce_owner().map_err(|error| error.to_string())? {
        changes.insert("updated ownership", true);
    }
    Ok(StateReturn::changed(comment, changes))
}

impl Job {
    fn tops(&self) -> BTreeSet<&str> {
        self.members
            .iter()
            .filter_map(|member| member.name.split('/').find(|part| !part.is_empty() && *part != "."))
            .collect()
    }

    /// An archive is to have one folder at its top, unless it need not.
    fn check_top(&self, args: &StateArgs) -> Result<(), String> {
        let tops = self.tops();
        let is_dir = |top: &str| {
            self.members.iter().any(|member| {
                let name = member.name.trim_start_matches("./");
                name.starts_with(&format!("{top}/")) || name == top && member.kind == Kind::Dir
            })
        };
        let one = tops.len() <= 1 && tops.iter().all(|top| is_dir(top));
        if one || !args.flag("enforce_toplevel", true) {
            return Ok(());
        }
        let format = if self.format == Format::Tar { "tar" } else { "zip" };
        let name = self.folder.display();
        Err(format!(
            "Archive does not have a single top-level directory. To allow this archive to be extracted, set 'enforce_toplevel' to False. To avoid a '{format}-bomb' it may also be advisable to set a top-level directory by adding it to the 'name' value (for example, setting 'name' to {name}/some_dir instead of {name}/)."
        ))
    }

    /// Whether a member is missing, and which are of another kind than in the archive.
    fn state_of_members(&self) -> (bool, Vec<String>) {
        let (mut missing, mut wrong) = (false, Vec::new());
        for member in &self.members {
            match fs::symlink_metadata(self.folder.join(&member.name)) {
                Ok(found) => {
                    let kind = if found.is_symlink() {
                        Kind::Link
                    } else if found.is_dir() {
                        Kind::Dir
                    } else {
                        Kind::File
                    };
                    if kind != member.kind {
                        wrong.push(member.name.clone());
                    }
                }
                Err(error) => missing |= error.kind() == io::ErrorKind::NotFound,
            }
        }
        (missing, wrong)
    }

    fn make_way(&self, wrong: &[String], clean: bool) -> io::Result<Vec<Value>> {
        let tops = self.tops();
        let paths: Vec<&str> =
            if clean { tops.into_iter().collect() } else { wrong.iter().map(String::as_str).collect() };
        let mut removed = Vec::new();
        for path in paths {
            let path = self.folder.join(path);
            if file::is_there(&path) {
                file::remove(&path)?;
                removed.push(Value::from(path.to_string_lossy().into_owned()));
            }
        }
        Ok(removed)
    }

    fn extract(&self) -> io::Result<Vec<String>> {
        fs::create_dir_all(&self.folder)?;
        match self.format {
            Format::Tar => {
                let mut archive = tar::Archive::new(opened(&self.archive)?);
                for entry in archive.entries()? {
                    let mut entry = entry?;
                    let name = entry.path()?.into_owned();
                    if !entry.unpack_in(&self.folder)? {
                        return Err(io::Error::other(format!("{} would leave the folder", name.display())));
                    }
                }
            }
            Format::Zip => {
                let mut archive =
                    zip::ZipArchive::new(File::open(&self.archive)?).map_err(io::Error::other)?;
                archive.extract(&self.folder).map_err(io::Error::other)?;
            }
        }
        Ok(self.members.iter().map(|member| member.name.clone()).collect())
    }

    /// Gives everything that came from the archive to the owner.
    fn enforce_owner(&self) -> io::Result<bool> {
        if self.owner == Owner::default() {
            return Ok(false);
        }
        let mut changed = false;
        for top in self.tops() {
            let top = self.folder.join(top);
            for path in file::walk(&top, None).into_iter().chain([top.clone()]) {
                changed |= file::give(&path, self.owner)?;
            }
        }
        Ok(changed)
    }
}

/// The tar stream, decompressed when it is gzip.
fn opened(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    let mut magic = [0; 2];
    let read = file.read(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(if read == 2 && magic == [0x1f, 0x8b] { Box::new(GzDecoder::new(file)) } else { Box::new(file) })
}

fn members(path: &Path, format: Format) -> io::Result<Vec<Member>> {
    let members = match format {
        Format::Tar => tar_members(path)?,
        Format::Zip => zip_members(path)?,
    };
    let leaves = |member: &&Member| {
        Path::new(&member.name)
            .components()
            .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
    };
    match members.iter().find(leaves) {
        Some(member) => Err(io::Error::other(format!("the member {:?} would leave the folder", member.name))),
        None => Ok(members),
    }
}

fn tar_members(path: &Path) -> io::Result<Vec<Member>> {
    let mut archive = tar::Archive::new(opened(path)?);
    let mut members = Vec::new();
    for entry in archive.entries()? {
        let entry = entry?;
        let header = entry.header().entry_type();
        let kind = if header.is_dir() {
            Kind::Dir
        } else if header.is_symlink() {
            Kind::Link
        } else {
            Kind::File
        };
        let name = entry.path()?.to_string_lossy().trim_end_matches('/').to_owned();
        members.push(Member { name, kind });
    }
    Ok(members)
}

fn zip_members(path: &Path) -> io::Result<Vec<Member>> {
    let mut archive = zip::ZipArchive::new(File::open(path)?).map_err(io::Error::other)?;
    let mut members = Vec::new();
    for at in 0..archive.len() {
        let entry = archive.by_index_raw(at).map_err(io::Error::other)?;
        if entry.encrypted() {
            return Err(io::Error::other("it is password-protected"));
        }
        let kind = if entry.is_dir() {
            Kind::Dir
        } else if entry.is_symlink() {
            Kind::Link
        } else {
            Kind::File
        };
        members.push(Member { name: entry.name().to_owned(), kind });
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tar_with(name: &str, content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let packed = flate2::write::GzEncoder::new(file.reopen().unwrap(), flate2::Compression::fast());
        let mut builder = tar::Builder::new(packed);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, content).unwrap();
        builder.into_inner().unwrap().finish().unwrap();
        file
    }

    #[test]
    fn refuses_members_that_leave_the_folder() {
        let archive = tar_with("../outside", b"x");
        let refusal = members(archive.path(), Format::Tar).unwrap_err().to_string();
        assert!(refusal.contains("would leave the folder"), "{refusal}");
        let mut zip = zip::ZipWriter::new(tempfile::tempfile().unwrap());
        zip.start_file("/etc/passwd", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"x").unwrap();
        let mut packed = zip.finish().unwrap();
        packed.seek(SeekFrom::Start(0)).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        io::copy(&mut packed, &mut file.reopen().unwrap()).unwrap();
        assert!(members(file.path(), Format::Zip).is_err());
    }

    #[test]
    fn lists_and_extracts_gzipped_tars() {
        let archive = tar_with("top/a.txt", b"hello");
        let folder = tempfile::tempdir().unwrap();
        let members = members(archive.path(), Format::Tar).unwrap();
        assert_eq!(members, [Member { name: "top/a.txt".to_owned(), kind: Kind::File }]);
        let job = Job {
            folder: folder.path().to_owned(),
            archive: archive.path().to_owned(),
            format: Format::Tar,
            members,
            owner: Owner::default(),
            options: None,
        };
        assert_eq!(job.state_of_members(), (true, Vec::new()));
        assert_eq!(job.extract().unwrap(), ["top/a.txt"]);
        assert_eq!(fs::read(folder.path().join("top/a.txt")).unwrap(), b"hello");
        assert_eq!(job.state_of_members(), (false, Vec::new()));
    }
}
