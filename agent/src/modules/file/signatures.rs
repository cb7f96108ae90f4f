//! The functions of the `file` module with Salt's signatures.

use crate::modules::FunctionSpec;

pub(super) const FUNCTIONS: &[FunctionSpec] = &[
    #[cfg(unix)]
    FunctionSpec {
        name: "access",
        signature: "path, mode",
        doc: "Tells whether this process may use a file: mode f, r, w or x.",
    },
    FunctionSpec {
        name: "append",
        signature: "path, *args, **kwargs",
        doc: "Adds lines to the end of a file. Held to the local policy.",
    },
    FunctionSpec { name: "basename", signature: "path", doc: "Returns the last part of a path." },
    FunctionSpec {
        name: "check_hash",
        signature: "path, file_hash",
        doc: "Tells whether a file has a hash: form=hash, or a hash whose length names its form.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "chgrp",
        signature: "path, group",
        doc: "Changes the group of a file. Held to the local policy.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "chown",
        signature: "path, user, group",
        doc: "Changes the owner and group of a file. Held to the local policy.",
    },
    FunctionSpec {
        name: "contains",
        signature: "path, text",
        doc: "Tells whether a file contains a text. Held to the local policy.",
    },
    FunctionSpec {
        name: "contains_glob",
        signature: "path, glob_expr",
        doc: "Tells whether a file matches a glob. Held to the local policy.",
    },
    FunctionSpec {
        name: "contains_regex",
        signature: "path, regex, lchar=''",
        doc: "Tells whether a line of a file matches a regular expression. Held to the local policy.",
    },
    FunctionSpec {
        name: "copy",
        signature: "src, dst, recurse=False, remove_existing=False",
        doc: "Copies a file or, with recurse, a folder. Held to the local policy.",
    },
    FunctionSpec {
        name: "directory_exists",
        signature: "path",
        doc: "Tells whether there is such a folder.",
    },
    FunctionSpec { name: "dirname", signature: "path", doc: "Returns a path without its last part." },
    FunctionSpec {
        name: "diskusage",
        signature: "path",
        doc: "Returns the bytes of a file or of all files below a folder.",
    },
    FunctionSpec { name: "file_exists", signature: "path", doc: "Tells whether there is such a file." },
    FunctionSpec {
        name: "find",
        signature: "path, *args, **kwargs",
        doc: "Lists files by name, iname, regex, iregex, type, owner, group, size, mtime, maxdepth and mindepth.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "get_gid",
        signature: "path, follow_symlinks=True",
        doc: "Returns the number of a file's group.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "get_group",
        signature: "path, follow_symlinks=True",
        doc: "Returns a file's group.",
    },
    FunctionSpec {
        name: "get_hash",
        signature: "path, form='sha256', chunk_size=65536",
        doc: "Returns the hash of a file.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "get_mode",
        signature: "path, follow_symlinks=True",
        doc: "Returns the mode of a file.",
    },
    FunctionSpec { name: "get_sum", signature: "path, form='sha256'", doc: "Returns the hash of a file." },
    #[cfg(unix)]
    FunctionSpec {
        name: "get_uid",
        signature: "path, follow_symlinks=True",
        doc: "Returns the number of a file's owner.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "get_user",
        signature: "path, follow_symlinks=True",
        doc: "Returns a file's owner.",
    },
    #[cfg(unix)]
    FunctionSpec { name: "gid_to_group", signature: "gid", doc: "Returns the name of a group." },
    #[cfg(unix)]
    FunctionSpec { name: "group_to_gid", signature: "group", doc: "Returns the number of a group." },
    #[cfg(unix)]
    FunctionSpec { name: "is_blkdev", signature: "name", doc: "Tells whether a path is a block device." },
    #[cfg(unix)]
    FunctionSpec { name: "is_chrdev", signature: "name", doc: "Tells whether a path is a character device." },
    #[cfg(unix)]
    FunctionSpec { name: "is_fifo", signature: "name", doc: "Tells whether a path is a named pipe." },
    #[cfg(unix)]
    FunctionSpec { name: "is_hardlink", signature: "path", doc: "Tells whether a file has several names." },
    FunctionSpec {
        name: "is_link",
        signature: "path, nostat=False",
        doc: "Tells whether a path is a symbolic link.",
    },
    FunctionSpec { name: "join", signature: "*args", doc: "Joins parts of a path." },
    #[cfg(unix)]
    FunctionSpec {
        name: "lchown",
        signature: "path, user, group",
        doc: "Changes the owner and group of a link itself. Held to the local policy.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "link",
        signature: "src, path",
        doc: "Makes a hard link. Held to the local policy.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "lstat",
        signature: "path",
        doc: "Returns the system's facts of a file, links not followed.",
    },
    FunctionSpec {
        name: "makedirs",
        signature: "path, user=None, group=None, mode=None",
        doc: "Makes the folders above a path. Held to the local policy.",
    },
    FunctionSpec {
        name: "mkdir",
        signature: "dir_path, user=None, group=None, mode=None",
        doc: "Makes a folder. Held to the local policy.",
    },
    FunctionSpec {
        name: "move",
        signature: "src, dst, disallow_copy_and_unlink=False",
        doc: "Moves a file or folder. Held to the local policy.",
    },
    FunctionSpec { name: "normpath", signature: "path", doc: "Returns a path without detours." },
    FunctionSpec { name: "pardir", signature: "", doc: "Returns the sign for the folder above." },
    FunctionSpec { name: "path_exists_glob", signature: "path", doc: "Tells whether a glob names anything." },
    FunctionSpec {
        name: "prepend",
        signature: "path, *args, **kwargs",
        doc: "Puts lines before the content of a file. Held to the local policy.",
    },
    FunctionSpec {
        name: "read",
        signature: "path, binary=False",
        doc: "Returns the content of a file. Held to the local policy.",
    },
    FunctionSpec { name: "readdir", signature: "path", doc: "Lists the names in a folder." },
    FunctionSpec {
        name: "readlink",
        signature: "path, canonicalize=False",
        doc: "Returns where a link leads.",
    },
    FunctionSpec {
        name: "remove",
        signature: "path, **kwargs",
        doc: "Removes a file or folder. Held to the local policy.",
    },
    FunctionSpec {
        name: "rename",
        signature: "src, dst",
        doc: "Renames a file or folder. Held to the local policy.",
    },
    FunctionSpec {
        name: "rmdir",
        signature: "path, recurse=False, verbose=False, older_than=None",
        doc: "Removes an empty folder. Held to the local policy.",
    },
    FunctionSpec {
        name: "search",
        signature: "path, pattern, flags=8, bufsize=1, ignore_if_missing=False, multiline=False",
        doc: "Tells whether a file matches a regular expression. Held to the local policy.",
    },
    FunctionSpec {
        name: "seek_read",
        signature: "path, size, offset",
        doc: "Returns a part of a file. Held to the local policy.",
    },
    FunctionSpec {
        name: "seek_write",
        signature: "path, data, offset",
        doc: "Writes at a place in a file. Held to the local policy.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "set_mode",
        signature: "path, mode",
        doc: "Changes the mode of a file. Held to the local policy.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "stats",
        signature: "path, hash_type=None, follow_symlinks=True",
        doc: "Returns owner, mode, times, size and kind of a file.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "symlink",
        signature: "src, path, force=False, atomic=False, follow_symlinks=True",
        doc: "Makes a symbolic link. Held to the local policy.",
    },
    FunctionSpec {
        name: "touch",
        signature: "name, atime=None, mtime=None",
        doc: "Makes an empty file or sets its times. Held to the local policy.",
    },
    FunctionSpec {
        name: "truncate",
        signature: "path, length",
        doc: "Cuts a file to a length. Held to the local policy.",
    },
    #[cfg(unix)]
    FunctionSpec { name: "uid_to_user", signature: "uid", doc: "Returns the name of a user." },
    #[cfg(unix)]
    FunctionSpec { name: "user_to_uid", signature: "user", doc: "Returns the number of a user." },
    FunctionSpec {
        name: "write",
        signature: "path, *args, **kwargs",
        doc: "Writes lines to a file. Held to the local policy.",
    },
    #[cfg(unix)]
    FunctionSpec {
        name: "statvfs",
        signature: "path",
        doc: "Returns the figures of the file system at a path.",
    },
    FunctionSpec {
        name: "blockreplace",
        signature: "path, marker_start='#-- start managed zone --', marker_end='#-- end managed zone --', content='', append_if_not_found=False, prepend_if_not_found=False, backup='.bak', dry_run=False, show_changes=True, append_newline=False, insert_before_match=None, insert_after_match=None",
        doc: "Replaces what stands between two marker lines. Held to the local policy.",
    },
    FunctionSpec {
        name: "comment",
        signature: "path, regex, char='#', backup='.bak'",
        doc: "Puts a sign before the lines that a regular expression matches. Held to the local policy.",
    },
    FunctionSpec {
        name: "comment_line",
        signature: "path, regex, char='#', cmnt=True, backup='.bak'",
        doc: "Comments lines out or in. Held to the local policy.",
    },
    FunctionSpec {
        name: "line",
        signature: "path, content=None, match=None, mode=None, location=None, before=None, after=None, show_changes=True, backup=False, quiet=False, indent=True",
        doc: "Inserts, replaces, deletes or makes sure of a line. Held to the local policy.",
    },
    FunctionSpec {
        name: "replace",
        signature: "path, pattern, repl, count=0, flags=8, bufsize=1, append_if_not_found=False, prepend_if_not_found=False, not_found_content=None, backup='.bak', dry_run=False, search_only=False, show_changes=True, ignore_if_missing=False, preserve_inode=True, backslash_literal=False, encoding=None",
        doc: "Replaces what a regular expression matches. Held to the local policy.",
    },
    FunctionSpec {
        name: "uncomment",
        signature: "path, regex, char='#', backup='.bak'",
        doc: "Takes a sign away from the lines that a regular expression matches. Held to the local policy.",
    },
];
