//! The calls into Windows that no safe crate wraps: the service's entry point, access lists, DPAPI, the event log, single
//! settings of a service.
//!
//! The one file with unsafe code. Every function here is a thin, total wrapper: sizes come from the slices given, memory that
//! Windows allocates is copied and freed before the function returns.
#![expect(unsafe_code, reason = "this file is the border to the operating system")]

use std::{
    ffi::{OsStr, OsString},
    io,
    os::windows::ffi::OsStrExt as _,
    path::Path,
    ptr,
};

use windows_service::service::Service;

use windows_sys::Win32::{
    Foundation::{HLOCAL, LocalFree},
    Security::{
        Authorization::{
            ConvertSecurityDescriptorToStringSecurityDescriptorW,
            ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW, SDDL_REVISION_1,
            SE_FILE_OBJECT,
        },
        Cryptography::{
            CRYPT_INTEGER_BLOB, CRYPTPROTECT_LOCAL_MACHINE, CRYPTPROTECT_UI_FORBIDDEN, CryptProtectData,
            CryptUnprotectData,
        },
        DACL_SECURITY_INFORMATION, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES,
    },
    Storage::FileSystem::{CreateDirectoryW, GetDiskFreeSpaceExW},
    System::{
        EventLog::{DeregisterEventSource, REPORT_EVENT_TYPE, RegisterEventSourceW, ReportEventW},
        Services::{ChangeServiceConfigW, SERVICE_NO_CHANGE},
    },
    UI::WindowsAndMessaging::{HWND_BROADCAST, SMTO_ABORTIFHUNG, SendMessageTimeoutW, WM_SETTINGCHANGE},
};

use super::scm;
use crate::win_service::Change;

windows_service::define_windows_service!(service_entry, service_body);

/// Gives this process to the service manager; returns when the service has stopped.
pub(super) fn dispatch(name: &str) -> windows_service::Result<()> {
    windows_service::service_dispatcher::start(name, service_entry)
}

fn service_body(_arguments: Vec<OsString>) {
    scm::body();
}

/// Size and free bytes of the disk of a folder.
pub(super) fn space(folder: &Path) -> io::Result<(u64, u64)> {
    let folder = wide(folder.as_os_str());
    let (mut free, mut total) = (0, 0);
    // SAFETY: the text ends with NUL, the two numbers live as long as the call, the third is not asked for.
    let done = unsafe { GetDiskFreeSpaceExW(folder.as_ptr(), &mut free, &mut total, ptr::null_mut()) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok((total, free)) }
}

/// Makes a folder that has its access list from the first moment on, so nobody can slip in between.
pub(super) fn create_folder(path: &Path, sddl: &str) -> io::Result<()> {
    let (path, sddl) = (wide(path.as_os_str()), wide(sddl.as_ref()));
    let mut descriptor: PSECURITY_DESCRIPTOR = ptr::null_mut();
    // SAFETY: both texts end with NUL; the descriptor is freed below and not used afterwards.
    unsafe {
        let made = ConvertStringSecurityDescriptorToSecurityDescriptorW(
            sddl.as_ptr(),
            SDDL_REVISION_1,
            &mut descriptor,
            ptr::null_mut(),
        );
        if made == 0 {
            return Err(io::Error::last_os_error());
        }
        let length = u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(u32::MAX);
        let attributes =
            SECURITY_ATTRIBUTES { nLength: length, lpSecurityDescriptor: descriptor, bInheritHandle: 0 };
        let created = CreateDirectoryW(path.as_ptr(), &attributes);
        let error = io::Error::last_os_error();
        LocalFree(descriptor as HLOCAL);
        if created == 0 { Err(error) } else { Ok(()) }
    }
}

/// Owner and access list of a file or folder, in Windows' own notation (SDDL).
pub(super) fn access_of(path: &Path) -> io::Result<String> {
    let path = wide(path.as_os_str());
    let wanted = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    let mut descriptor: PSECURITY_DESCRIPTOR = ptr::null_mut();
    let mut text: *mut u16 = ptr::null_mut();
    let mut length = 0;
    // SAFETY: the path ends with NUL; what Windows allocates is copied, then freed.
    unsafe {
        let none = ptr::null_mut;
        let failed = GetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            wanted,
            none(),
            none(),
            ptr::null_mut(),
            ptr::null_mut(),
            &mut descriptor,
        );
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed.cast_signed()));
        }
        let done = ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor,
            SDDL_REVISION_1,
            wanted,
            &mut text,
            &mut length,
        );
        let error = io::Error::last_os_error();
        LocalFree(descriptor as HLOCAL);
        if done == 0 {
            return Err(error);
        }
        let units = std::slice::from_raw_parts(text, length as usize);
        let sddl = String::from_utf16_lossy(units).trim_end_matches('\0').to_owned();
        LocalFree(text as HLOCAL);
        Ok(sddl)
    }
}

/// Changes what is given of a service's settings: the crate's own function sets all of them, and would quote a command line
/// that is quoted already.
pub(crate) fn change_service(service: &Service, change: &Change) -> io::Result<()> {
    let text = |text: &Option<String>| text.as_ref().map(|text| wide(OsStr::new(text)));
    let (path, group, display) =
        (text(&change.bin_path), text(&change.load_order_group), text(&change.display_name));
    // Each name ends with NUL, and the list with one more.
    let names = change.dependencies.as_ref().map(|names| names.iter().map(|name| format!("{name}\0")));
    let dependencies = names.map(|names| wide(OsStr::new(&names.collect::<String>())));
    let pointer = |text: &Option<Vec<u16>>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    // SAFETY: the handle is open as long as the service lives; every text ends with NUL and outlives the call.
    let done = unsafe {
        ChangeServiceConfigW(
            service.raw_handle(),
            SERVICE_NO_CHANGE,
            change.start_type.unwrap_or(SERVICE_NO_CHANGE),
            change.error_control.unwrap_or(SERVICE_NO_CHANGE),
            pointer(&path),
            pointer(&group),
            ptr::null_mut(),
            pointer(&dependencies),
            ptr::null(),
            ptr::null(),
            pointer(&display),
        )
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Tells every window that the environment changed; one that hangs is passed over.
pub(crate) fn broadcast_environment() -> bool {
    let what = wide(OsStr::new("Environment"));
    // SAFETY: the text ends with NUL and outlives the call; the answers of the windows are not asked for.
    unsafe {
        SendMessageTimeoutW(
            HWND_BROADCAST,
            WM_SETTINGCHANGE,
            0,
            what.as_ptr() as isize,
            SMTO_ABORTIFHUNG,
            WINDOW_PATIENCE,
            ptr::null_mut(),
        ) != 0
    }
}

/// How long a window may take, in milliseconds; Salt's number.
const WINDOW_PATIENCE: u32 = 5000;

/// Protects bytes with a key of this machine (DPAPI): a copied disk does not open them.
pub(crate) fn protect(clear: &[u8]) -> io::Result<Vec<u8>> {
    let input = blob(clear)?;
    let mut output = CRYPT_INTEGER_BLOB { cbData: 0, pbData: ptr::null_mut() };
    let flags = CRYPTPROTECT_LOCAL_MACHINE | CRYPTPROTECT_UI_FORBIDDEN;
    // SAFETY: the input outlives the call; the output is taken over by `copied`.
    unsafe {
        let none = ptr::null();
        match CryptProtectData(&input, none, ptr::null(), ptr::null(), ptr::null(), flags, &mut output) {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(copied(output)),
        }
    }
}

/// Opens what [`protect`] made on this machine.
pub(crate) fn unprotect(sealed: &[u8]) -> io::Result<Vec<u8>> {
    let input = blob(sealed)?;
    let mut output = CRYPT_INTEGER_BLOB { cbData: 0, pbData: ptr::null_mut() };
    // SAFETY: as in `protect`.
    unsafe {
        let none = ptr::null_mut();
        let flags = CRYPTPROTECT_UI_FORBIDDEN;
        match CryptUnprotectData(&input, none, ptr::null(), ptr::null(), ptr::null(), flags, &mut output) {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(copied(output)),
        }
    }
}

/// Writes one entry to the event log of applications.
pub(super) fn report(source: &str, kind: REPORT_EVENT_TYPE, id: u32, text: &str) {
    let (source, text) = (wide(source.as_ref()), wide(text.as_ref()));
    // SAFETY: both texts end with NUL and outlive the call; the handle is given back.
    unsafe {
        let log = RegisterEventSourceW(ptr::null(), source.as_ptr());
        if log.is_null() {
            return;
        }
        let texts = [text.as_ptr()];
        ReportEventW(log, kind, 0, id, ptr::null_mut(), 1, 0, texts.as_ptr(), ptr::null());
        DeregisterEventSource(log);
    }
}

fn blob(bytes: &[u8]) -> io::Result<CRYPT_INTEGER_BLOB> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(CRYPT_INTEGER_BLOB { cbData: length, pbData: bytes.as_ptr().cast_mut() })
}

/// Copies and frees what Windows allocated.
///
/// # Safety
/// The blob was filled by a call that succeeded, and is not used afterwards.
unsafe fn copied(output: CRYPT_INTEGER_BLOB) -> Vec<u8> {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = std::slice::from_raw_parts(output.pbData, output.cbData as usize).to_vec();
        LocalFree(output.pbData as HLOCAL);
        bytes
    }
}

fn wide(text: &std::ffi::OsStr) -> Vec<u16> {
    text.encode_wide().chain([0]).collect()
}
