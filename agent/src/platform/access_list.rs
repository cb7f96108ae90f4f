//! Whether a folder's owner and access list let only the system and administrators change it.
//!
//! A folder that somebody else made before the installation could hold a program that runs as the system afterwards
//! (CVE-2021-22004 of Salt's installer). The judgement works on Windows' text form (SDDL) and is the same on every platform.

/// What a new install folder gets: full control for the system and administrators, nothing for others, nothing inherited.
pub const WANTED: &str = "O:BAG:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";

/// What is wrong with a folder's owner or access list.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Finding {
    /// Somebody else owns it, and can change its access list at will.
    #[error("it is owned by {0}")]
    Owner(String),
    /// Somebody else may change what is in it.
    #[error("{0} may write in it")]
    Writer(String),
    /// It has no access list: everybody may do everything.
    #[error("it has no access list, so everybody may write in it")]
    NoList,
    /// The text cannot be read.
    #[error("its access list cannot be read: {0}")]
    Form(String),
}

/// Judges owner and access list in SDDL; nothing when they are as they should be.
#[must_use]
pub fn judge(sddl: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let owner = section(sddl, "O:").unwrap_or_default();
    if !is_trusted(owner) {
        findings.push(Finding::Owner(shown(owner)));
    }
    let Some(list) = section(sddl, "D:") else { return [findings, vec![Finding::NoList]].concat() };
    if list.starts_with("NO_ACCESS_CONTROL") {
        findings.push(Finding::NoList);
    }
    for entry in list.split('(').skip(1) {
        let fields: Vec<&str> = entry.trim_end_matches([')', ' ']).split(';').collect();
        let [kind, flags, rights, _, _, trustee, ..] = fields[..] else {
            findings.push(Finding::Form(entry.to_owned()));
            continue;
        };
        // CREATOR OWNER stands for whoever made a file: it matters only where others may make some.
        let inherit_only = flags.contains("IO") && trustee == "CO";
        let allows = matches!(kind, "A" | "XA" | "OA");
        if allows && writes(rights) && !is_trusted(trustee) && !inherit_only {
            findings.push(Finding::Writer(shown(trustee)));
        }
    }
    findings.dedup();
    findings
}

/// The commands that put it right, for an administrator's console.
#[must_use]
pub fn fix(folder: &str) -> String {
    format!(
        "takeown /F \"{folder}\" /A /R /D Y && icacls \"{folder}\" /setowner *S-1-5-32-544 /T && icacls \"{folder}\" /reset /T && \
         icacls \"{folder}\" /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F"
    )
}

/// The text after `O:`, `G:`, `D:` or `S:` up to the next of them.
fn section<'s>(sddl: &'s str, name: &str) -> Option<&'s str> {
    let start = sddl.find(name)? + name.len();
    let rest = &sddl[start..];
    let end = ["O:", "G:", "D:", "S:"].iter().filter_map(|next| rest.find(next)).min().unwrap_or(rest.len());
    Some(&rest[..end])
}

fn is_trusted(trustee: &str) -> bool {
    // System, administrators, TrustedInstaller.
    let installer = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
    matches!(trustee, "SY" | "BA" | "S-1-5-18" | "S-1-5-32-544") || trustee == installer
}

/// Whether rights include one that changes content, names, owner or list.
fn writes(rights: &str) -> bool {
    const MASK: u64 = 0x0002
        | 0x0004
        | 0x0010
        | 0x0040
        | 0x0100
        | 0x0001_0000
        | 0x0004_0000
        | 0x0008_0000
        | 0x1000_0000
        | 0x4000_0000;
    if let Some(hex) = rights.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).map_or(true, |bits| bits & MASK != 0);
    }
    let pairs = rights.as_bytes().chunks(2);
    pairs.into_iter().any(|pair| !READING.contains(&pair))
}

/// The rights that change nothing: read, execute, list, read attributes.
const READING: [&[u8]; 9] = [b"FR", b"FX", b"GR", b"GX", b"RC", b"CC", b"SW", b"WP", b"LO"];

fn shown(trustee: &str) -> String {
    match trustee {
        "BU" => "Users".to_owned(),
        "AU" => "Authenticated Users".to_owned(),
        "WD" => "Everyone".to_owned(),
        "IU" => "Interactive".to_owned(),
        "CO" => "Creator Owner".to_owned(),
        "" => "nobody known".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_installer_makes() {
        assert_eq!(judge(WANTED), []);
        assert_eq!(
            judge("O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)(A;OICIIO;FA;;;CO)"),
            []
        );
    }

    #[test]
    fn refuses_another_owner_and_every_other_writer() {
        // What a folder below C:\ gets when a user makes it.
        let made_by_user = "O:S-1-5-21-1-2-3-1001G:S-1-5-21-1-2-3-513D:AI(A;OICIID;FA;;;BA)(A;OICIID;FA;;;SY)\
                            (A;OICIID;0x1200a9;;;BU)(A;ID;0x1301bf;;;AU)(A;OICIIOID;SDGXGWGR;;;AU)";
        let findings = judge(made_by_user);
        assert_eq!(
            findings,
            [Finding::Owner("S-1-5-21-1-2-3-1001".into()), Finding::Writer("Authenticated Users".into())]
        );
        assert_eq!(judge("O:BAD:(A;;GA;;;WD)"), [Finding::Writer("Everyone".into())]);
        assert_eq!(judge("O:SY"), [Finding::NoList]);
        assert_eq!(judge("O:SYD:NO_ACCESS_CONTROL"), [Finding::NoList]);
        assert!(matches!(judge("O:SYD:(A;;FA)")[..], [Finding::Form(_)]));
    }

    #[test]
    fn reading_is_no_writing() {
        for rights in ["FR", "FRFX", "0x1200a9", "GRGX"] {
            assert!(!writes(rights), "{rights}");
        }
        for rights in ["FA", "FW", "WD", "WO", "SD", "0x1301bf", "0x2", "GA", "DC", "0xzz"] {
            assert!(writes(rights), "{rights}");
        }
    }
}
