//! The service manager of this machine.

use std::ffi::{OsStr, OsString};

use windows_service::{
    Error,
    service::{Service, ServiceAccess, ServiceConfig, ServiceExitCode, ServiceStatus},
    service_manager::{ServiceManager, ServiceManagerAccess},
};

use super::{Change, Info, Manager, WinServiceError};
use crate::{
    platform::windows,
    registry::{self, Key, Registry},
};

/// The service manager of this machine.
pub struct System;

impl Manager for System {
    fn all(&self) -> Result<Vec<String>, WinServiceError> {
        let said = |error: registry::RegistryError| WinServiceError::Connect(error.to_string());
        let services = Key::parse(SERVICES, false).map_err(said)?;
        let mut names = registry::System.keys(&services).map_err(said)?;
        names.retain(|name| setting(name, "Type").is_some_and(is_service));
        names.sort_unstable();
        Ok(names)
    }

    fn is_there(&self, name: &str) -> Result<bool, WinServiceError> {
        match manager()?.open_service(name, ServiceAccess::QUERY_STATUS) {
            Ok(_) => Ok(true),
            Err(Error::Winapi(error)) if is_code(&error, &[NO_SUCH_SERVICE, INVALID_NAME]) => Ok(false),
            Err(error) => Err(WinServiceError::Open { name: name.to_owned(), said: said(&error) }),
        }
    }

    fn info(&self, name: &str) -> Result<Info, WinServiceError> {
        let service = open(name, ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG)?;
        let failed = |error: Error| WinServiceError::Open { name: name.to_owned(), said: said(&error) };
        let config = service.query_config().map_err(failed)?;
        let status = service.query_status().map_err(failed)?;
        Ok(info(name, config, &status))
    }

    fn start(&self, name: &str) -> Result<(), WinServiceError> {
        let service = open(name, ServiceAccess::START)?;
        match service.start::<OsString>(&[]) {
            Err(Error::Winapi(error)) if is_code(&error, &[ALREADY_RUNNING]) => Ok(()),
            done => {
                done.map_err(|error| WinServiceError::Start { name: name.to_owned(), said: said(&error) })
            }
        }
    }

    fn stop(&self, name: &str) -> Result<(), WinServiceError> {
        let service = open(name, ServiceAccess::STOP)?;
        match service.stop() {
            Err(Error::Winapi(error)) if is_code(&error, &[NOT_ACTIVE]) => Ok(()),
            done => done
                .map(drop)
                .map_err(|error| WinServiceError::Stop { name: name.to_owned(), said: said(&error) }),
        }
    }

    fn change(&self, name: &str, change: &Change) -> Result<(), WinServiceError> {
        let service = open(name, ServiceAccess::CHANGE_CONFIG)?;
        let failed = |said: String| WinServiceError::Modify { name: name.to_owned(), said };
        windows::change_service(&service, change).map_err(|error| failed(error.to_string()))?;
        if let Some(text) = &change.description {
            service.set_description(text).map_err(|error| failed(said(&error)))?;
        }
        // An old Windows does not know it; what it already is, it need not learn.
        if let Some(delayed) = change.delayed.filter(|wanted| *wanted != is_delayed(name)) {
            service.set_delayed_auto_start(delayed).map_err(|error| failed(said(&error)))?;
        }
        Ok(())
    }
}

fn info(name: &str, config: ServiceConfig, status: &ServiceStatus) -> Info {
    let (exit_code, service_code) = match status.exit_code {
        ServiceExitCode::Win32(code) => (code, 0),
        ServiceExitCode::ServiceSpecific(code) => (SERVICE_SPECIFIC, code),
    };
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let dependencies = config.dependencies.iter().map(|one| text(one.to_system_identifier()));
    Info {
        name: name.to_owned(),
        dependencies: dependencies.collect(),
        display_name: text(config.display_name),
        description: described(name),
        bin_path: text(config.executable_path.into_os_string()),
        account: config.account_name.map(text).unwrap_or_default(),
        load_order_group: config.load_order_group.map(text).unwrap_or_default(),
        tag: config.tag_id,
        service_type: config.service_type.bits(),
        start_type: config.start_type.to_raw(),
        delayed: is_delayed(name),
        error_control: config.error_control.to_raw(),
        state: status.current_state as u32,
        controls: status.controls_accepted.bits(),
        exit_code,
        service_code,
        checkpoint: status.checkpoint,
        wait_hint: u32::try_from(status.wait_hint.as_millis()).unwrap_or(u32::MAX),
    }
}

fn manager() -> Result<ServiceManager, WinServiceError> {
    ServiceManager::local_computer(None::<&OsStr>, ServiceManagerAccess::CONNECT)
        .map_err(|error| WinServiceError::Connect(said(&error)))
}

fn open(name: &str, access: ServiceAccess) -> Result<Service, WinServiceError> {
    let opened = manager()?.open_service(name, access);
    opened.map_err(|error| WinServiceError::Open { name: name.to_owned(), said: said(&error) })
}

/// A number that the manager keeps of a service.
fn setting(service: &str, name: &str) -> Option<i64> {
    let key = Key::parse(&format!("{SERVICES}\\{service}"), false).ok()?;
    registry::System.read(&key, name).ok()?.decode().as_int()
}

fn described(service: &str) -> String {
    let key = Key::parse(&format!("{SERVICES}\\{service}"), false);
    let read = key.and_then(|key| registry::System.read(&key, "Description"));
    read.map(|raw| raw.decode().to_string()).unwrap_or_default()
}

fn is_delayed(service: &str) -> bool {
    setting(service, "DelayedAutostart").is_some_and(|delayed| delayed != 0)
}

/// A process of its own or a shared one; the model that Windows makes each user's service from is none.
fn is_service(kind: i64) -> bool {
    kind & 0x30 != 0 && kind & 0xc0 != 0x40
}

fn is_code(error: &std::io::Error, codes: &[i32]) -> bool {
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

fn said(error: &Error) -> String {
    if let Error::Winapi(cause) = error { cause.to_string() } else { error.to_string() }
}

const SERVICES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services";
/// ERROR_SERVICE_ALREADY_RUNNING.
const ALREADY_RUNNING: i32 = 1056;
/// ERROR_SERVICE_DOES_NOT_EXIST.
const NO_SUCH_SERVICE: i32 = 1060;
/// ERROR_SERVICE_NOT_ACTIVE.
const NOT_ACTIVE: i32 = 1062;
/// ERROR_SERVICE_SPECIFIC_ERROR.
const SERVICE_SPECIFIC: u32 = 1066;
/// ERROR_INVALID_NAME.
const INVALID_NAME: i32 = 123;
