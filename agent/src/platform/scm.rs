//! The service of Windows: its life under the service manager, and its installation.
//!
//! The supervisor is the service. Stop, shutdown and preshutdown drain the agent; power events are passed on to it; session
//! changes are noted. Delayed start, restart after a failure, and a message in the event log for what an administrator should
//! know. Installing never changes a service that is there already.

use std::{
    ffi::{OsStr, OsString},
    sync::mpsc::{self, Sender},
    time::Duration,
};

use windows_service::{
    service::{
        PowerEventParam, Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceControl,
        ServiceControlAccept, ServiceErrorControl, ServiceExitCode, ServiceFailureActions,
        ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState, ServiceStatus, ServiceType,
    },
    service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle},
    service_manager::{ServiceManager, ServiceManagerAccess},
};

use super::{service, service::Registration, windows};
use crate::release::supervise::{
    Arguments, Event,
    host::{Host, Severity, State},
};

/// Runs as the service until the manager stops it.
pub(super) fn run() -> Result<(), String> {
    windows::dispatch(service::NAME).map_err(|error| format!("not started by the service manager: {error}"))
}

/// The body of the service, on a thread of the manager's.
pub(super) fn body() {
    let (events, received) = mpsc::channel();
    let handler_events = events.clone();
    let handle =
        service_control_handler::register(service::NAME, move |control| answer(&control, &handler_events));
    let Ok(handle) = handle else { return };
    let manager = Manager { handle };
    let arguments = Arguments::parse(std::env::args().skip(1));
    let done = arguments.and_then(|arguments| service::supervise(&arguments, &manager, events, &received));
    if let Err(why) = &done {
        manager.note(Severity::Error, why);
    }
    // The last thing said before the process may be ended.
    let code = if done.is_ok() { ServiceExitCode::Win32(0) } else { ServiceExitCode::ServiceSpecific(1) };
    manager.say(ServiceState::Stopped, code, Duration::ZERO);
}

fn answer(control: &ServiceControl, events: &Sender<Event>) -> ServiceControlHandlerResult {
    let event = match control {
        ServiceControl::Stop | ServiceControl::Shutdown | ServiceControl::Preshutdown => Some(Event::Stop),
        ServiceControl::PowerEvent(PowerEventParam::Suspend) => Some(Event::Suspended),
        ServiceControl::PowerEvent(PowerEventParam::ResumeAutomatic | PowerEventParam::ResumeSuspend) => {
            Some(Event::Resumed)
        }
        ServiceControl::Interrogate | ServiceControl::PowerEvent(_) | ServiceControl::SessionChange(_) => {
            None
        }
        ServiceControl::Continue
        | ServiceControl::NetBindAdd
        | ServiceControl::NetBindDisable
        | ServiceControl::NetBindEnable
        | ServiceControl::NetBindRemove
        | ServiceControl::ParamChange
        | ServiceControl::Pause
        | ServiceControl::HardwareProfileChange(_)
        | ServiceControl::TimeChange
        | ServiceControl::TriggerEvent
        | ServiceControl::UserEvent(_) => return ServiceControlHandlerResult::NotImplemented,
        // The crate may learn further controls; this service asked for none of them.
        &_ => return ServiceControlHandlerResult::NotImplemented,
    };
    if let Some(event) = event {
        // Nobody listens when the supervisor has ended.
        let _ = events.send(event);
    }
    ServiceControlHandlerResult::NoError
}

/// The service manager.
struct Manager {
    handle: ServiceStatusHandle,
}

impl Manager {
    fn say(&self, state: ServiceState, exit_code: ServiceExitCode, wait_hint: Duration) {
        let controls_accepted = match state {
            ServiceState::Running => {
                ServiceControlAccept::STOP
                    | ServiceControlAccept::SHUTDOWN
                    | ServiceControlAccept::PRESHUTDOWN
                    | ServiceControlAccept::POWER_EVENT
                    | ServiceControlAccept::SESSION_CHANGE
            }
            ServiceState::Stopped
            | ServiceState::StartPending
            | ServiceState::StopPending
            | ServiceState::ContinuePending
            | ServiceState::PausePending
            | ServiceState::Paused => ServiceControlAccept::empty(),
        };
        let status = ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state: state,
            controls_accepted,
            exit_code,
            checkpoint: 0,
            wait_hint,
            process_id: None,
        };
        // A manager that does not answer cannot be told anything else either.
        let _ = self.handle.set_service_status(status);
    }
}

impl Host for Manager {
    fn state(&self, state: State) {
        match state {
            State::Running => self.say(ServiceState::Running, ServiceExitCode::Win32(0), Duration::ZERO),
            State::Stopping => self.say(ServiceState::StopPending, ServiceExitCode::Win32(0), STOPPING),
        }
    }

    fn alive(&self) {}

    fn note(&self, severity: Severity, text: &str) {
        let (kind, id) = match severity {
            Severity::Error => (1, 3),
            Severity::Warning => (2, 2),
            Severity::Info => (4, 1),
        };
        windows::report(service::NAME, kind, id, text);
    }
}

/// Registers the service; one that is there is left as the administrator has it.
pub(super) fn install(registration: &Registration) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
    let manager =
        ServiceManager::local_computer(None::<&OsStr>, access).map_err(|error| explained(&error))?;
    if manager.open_service(service::NAME, ServiceAccess::QUERY_STATUS).is_ok() {
        notes.push(format!("the service {} exists and keeps its settings", service::NAME));
        return Ok(notes);
    }
    let info = ServiceInfo {
        name: service::NAME.into(),
        display_name: service::DISPLAY_NAME.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: registration.supervisor.clone(),
        launch_arguments: registration.arguments.iter().map(OsString::from).collect(),
        dependencies: vec![],
        account_name: registration.account.as_deref().map(OsString::from),
        account_password: None,
    };
    let service = manager
        .create_service(&info, ServiceAccess::ALL_ACCESS)
        .map_err(|error| format!("the service cannot be made: {}", explained(&error)))?;
    notes.extend(settings(&service));
    event_source(&mut notes);
    Ok(notes)
}

/// What an old Windows (or Wine) does not know is named and left out: the service works without it.
fn settings(service: &Service) -> Vec<String> {
    let restart =
        |secs| ServiceAction { action_type: ServiceActionType::Restart, delay: Duration::from_secs(secs) };
    let recovery = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(Duration::from_secs(24 * 3600)),
        reboot_msg: None,
        command: None,
        actions: Some(vec![restart(5), restart(60), restart(300)]),
    };
    let done = [
        ("description", service.set_description(service::DESCRIPTION)),
        ("delayed start", service.set_delayed_auto_start(true)),
        ("recovery actions", service.update_failure_actions(recovery)),
        ("recovery after an error exit", service.set_failure_actions_on_non_crash_failures(true)),
        ("time to stop at shutdown", service.set_preshutdown_timeout(STOPPING)),
    ];
    let failed = done.into_iter().filter_map(|(what, done)| done.err().map(|error| (what, error)));
    failed.map(|(what, error)| format!("{what} could not be set: {}", explained(&error))).collect()
}

/// The texts of entries come from a message file that every Windows has.
fn event_source(notes: &mut Vec<String>) {
    let key = format!(r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\{}", service::NAME);
    let values = [
        ["EventMessageFile", "REG_EXPAND_SZ", r"%SystemRoot%\System32\EventCreate.exe"],
        ["TypesSupported", "REG_DWORD", "7"],
    ];
    for [name, kind, data] in values {
        let arguments = ["add", &key, "/v", name, "/t", kind, "/d", data, "/f"];
        let done = std::process::Command::new("reg").args(arguments).output();
        if !done.as_ref().is_ok_and(|output| output.status.success()) {
            notes.push(format!("the event source {} could not be set up: {name}", service::NAME));
        }
    }
}

/// Stops and removes the service; one that is not there is no error.
pub(super) fn uninstall() -> Result<(), String> {
    let Some(service) = open(ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE)?
    else {
        return Ok(());
    };
    stop_and_wait(&service)?;
    service.delete().map_err(|error| explained(&error))?;
    let key = format!(r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\{}", service::NAME);
    // It may never have been there.
    let _ = std::process::Command::new("reg").args(["delete", &key, "/f"]).output();
    Ok(())
}

/// Starts the service and waits until it runs.
pub(super) fn start() -> Result<(), String> {
    let service = open(ServiceAccess::QUERY_STATUS | ServiceAccess::START)?.ok_or(service::NOT_INSTALLED)?;
    if state(&service)? != ServiceState::Running {
        service.start::<OsString>(&[]).map_err(|error| explained(&error))?;
    }
    wait_for(&service, ServiceState::Running)
}

/// Stops the service and waits for its end.
pub(super) fn stop() -> Result<(), String> {
    let service = open(ServiceAccess::QUERY_STATUS | ServiceAccess::STOP)?.ok_or(service::NOT_INSTALLED)?;
    stop_and_wait(&service)
}

fn stop_and_wait(service: &Service) -> Result<(), String> {
    if state(service)? == ServiceState::Stopped {
        return Ok(());
    }
    service.stop().map_err(|error| explained(&error))?;
    wait_for(service, ServiceState::Stopped)
}

fn open(access: ServiceAccess) -> Result<Option<Service>, String> {
    let manager = ServiceManager::local_computer(None::<&OsStr>, ServiceManagerAccess::CONNECT);
    match manager.and_then(|manager| manager.open_service(service::NAME, access)) {
        Ok(service) => Ok(Some(service)),
        Err(windows_service::Error::Winapi(error)) if error.raw_os_error() == Some(NO_SUCH_SERVICE) => {
            Ok(None)
        }
        Err(error) => Err(explained(&error)),
    }
}

fn state(service: &Service) -> Result<ServiceState, String> {
    service.query_status().map(|status| status.current_state).map_err(|error| explained(&error))
}

fn wait_for(service: &Service, wanted: ServiceState) -> Result<(), String> {
    let end = std::time::Instant::now() + STOPPING + Duration::from_secs(30);
    loop {
        let found = state(service)?;
        if found == wanted {
            return Ok(());
        }
        if std::time::Instant::now() > end {
            return Err(format!("the service did not become {wanted:?}; it is {found:?}"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn explained(error: &windows_service::Error) -> String {
    if let windows_service::Error::Winapi(cause) = error { cause.to_string() } else { error.to_string() }
}

/// How long the manager may wait for the drain.
const STOPPING: Duration = Duration::from_secs(45);
/// ERROR_SERVICE_DOES_NOT_EXIST.
const NO_SUCH_SERVICE: i32 = 1060;
