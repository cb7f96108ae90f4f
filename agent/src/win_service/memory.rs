//! A service manager in memory, for tests: it starts and stops at once, and never starts what is disabled.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{AUTO, Change, DISABLED, Info, Manager, RUNNING, STOPPED, WinServiceError};

/// Services by their name in small letters.
#[derive(Default)]
pub struct Memory(Mutex<BTreeMap<String, Info>>);

impl Memory {
    /// Services that are stopped, each with its start type.
    pub fn of(services: &[(&str, u32)]) -> Self {
        let info = |(name, start_type): &(&str, u32)| Info {
            name: (*name).to_owned(),
            display_name: format!("{name} of the test"),
            start_type: *start_type,
            state: STOPPED,
            service_type: 16,
            ..Info::default()
        };
        Self(Mutex::new(services.iter().map(|service| (service.0.to_lowercase(), info(service))).collect()))
    }

    fn with<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Info) -> Result<T, WinServiceError>,
    ) -> Result<T, WinServiceError> {
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = "The specified service does not exist as an installed service.".to_owned();
        let missing = || Err(WinServiceError::Open { name: name.to_owned(), said });
        services.get_mut(&name.to_lowercase()).map_or_else(missing, work)
    }
}

impl Manager for Memory {
    fn all(&self) -> Result<Vec<String>, WinServiceError> {
        let services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(services.values().map(|info| info.name.clone()).collect())
    }

    fn is_there(&self, name: &str) -> Result<bool, WinServiceError> {
        Ok(self.info(name).is_ok())
    }

    fn info(&self, name: &str) -> Result<Info, WinServiceError> {
        self.with(name, |info| Ok(info.clone()))
    }

    fn start(&self, name: &str) -> Result<(), WinServiceError> {
        self.with(name, |info| {
            if info.start_type == DISABLED {
                let said = "The service cannot be started, because it is disabled.".to_owned();
                return Err(WinServiceError::Start { name: name.to_owned(), said });
            }
            info.state = RUNNING;
            Ok(())
        })
    }

    fn stop(&self, name: &str) -> Result<(), WinServiceError> {
        self.with(name, |info| {
            info.state = STOPPED;
            Ok(())
        })
    }

    fn change(&self, name: &str, change: &Change) -> Result<(), WinServiceError> {
        self.with(name, |info| {
            info.start_type = change.start_type.unwrap_or(info.start_type);
            info.delayed = change.delayed.unwrap_or(info.delayed) && info.start_type == AUTO;
            if let Some(name) = &change.display_name {
                info.display_name.clone_from(name);
            }
            Ok(())
        })
    }
}
