//! Gives the Windows executables their properties: version and commit, and the manifest that allows long paths.
//!
//! Done only for the target `*-windows-gnu`, with the resource compiler of the same toolchain that links.

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=AGENT_COMMIT");
    let target = env::var("TARGET").unwrap_or_default();
    if !target.ends_with("windows-gnu") {
        return;
    }
    let out = env::var("OUT_DIR").unwrap_or_default();
    for program in ["agent", "supervisor"] {
        let object = properties(Path::new(&out), program);
        println!("cargo:rustc-link-arg-bin={program}={object}");
    }
}

/// Compiles the resources of one program.
fn properties(out: &Path, program: &str) -> String {
    let (script, object) = (out.join(format!("{program}.rc")), out.join(format!("{program}.res.o")));
    let manifest = out.join("agent.manifest");
    fs::write(&manifest, MANIFEST).expect("the manifest can be written");
    fs::write(&script, resources(program)).expect("the resource script can be written");
    let done =
        Command::new("x86_64-w64-mingw32-windres").arg("-I").arg(out).arg(&script).arg(&object).status();
    assert!(
        done.is_ok_and(|status| status.success()),
        "x86_64-w64-mingw32-windres failed; it comes with gcc-mingw-w64"
    );
    object.display().to_string()
}

fn resources(program: &str) -> String {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let commit = env::var("AGENT_COMMIT").unwrap_or_else(|_| "unknown".to_owned());
    let numbers: Vec<&str> = version.split(['.', '-', '+']).take(3).collect();
    let numbers = format!("{},0", numbers.join(","));
    format!(
        "1 24 \"agent.manifest\"\n\
         1 VERSIONINFO\nFILEVERSION {numbers}\nPRODUCTVERSION {numbers}\nFILETYPE 1\nBEGIN\n\
         BLOCK \"StringFileInfo\"\nBEGIN\nBLOCK \"040904B0\"\nBEGIN\n\
         VALUE \"CompanyName\", \"NexHealth\"\n\
         VALUE \"FileDescription\", \"NexHealth {program}\"\n\
         VALUE \"FileVersion\", \"{version}\"\n\
         VALUE \"InternalName\", \"{program}\"\n\
         VALUE \"OriginalFilename\", \"{program}.exe\"\n\
         VALUE \"ProductName\", \"NexHealth Agent\"\n\
         VALUE \"ProductVersion\", \"{version} (commit {commit})\"\n\
         END\nEND\nBLOCK \"VarFileInfo\"\nBEGIN\nVALUE \"Translation\", 0x409, 0x4B0\nEND\nEND\n"
    )
}

const MANIFEST: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">
  <trustInfo xmlns="urn:schemas-microsoft-com:asm.v3">
    <security><requestedPrivileges><requestedExecutionLevel level="asInvoker" uiAccess="false"/></requestedPrivileges></security>
  </trustInfo>
  <compatibility xmlns="urn:schemas-microsoft-com:compatibility.v1">
    <application><supportedOS Id="{8e0f7a12-bfb3-4fe8-b9a5-48fd50a15a9a}"/></application>
  </compatibility>
  <application xmlns="urn:schemas-microsoft-com:asm.v3">
    <windowsSettings xmlns:ws="http://schemas.microsoft.com/SMI/2016/WindowsSettings">
      <ws:longPathAware>true</ws:longPathAware>
    </windowsSettings>
  </application>
</assembly>
"#;
