//! A link that keeps the events it is given and knows no master.

use std::sync::{Mutex, PoisonError};

use agent::channel::{LinkError, LocalLink, MasterLink};
use futures_util::future::BoxFuture;
use proto::{Map, Value};

/// The events in order: tag and data.
#[derive(Default)]
pub struct Bus(Mutex<Vec<(String, Value)>>);

impl Bus {
    /// Takes the events that came since the last look.
    pub fn take(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl MasterLink for Bus {
    fn request<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        LocalLink.request(cmd, load)
    }

    fn request_raw<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        LocalLink.request_raw(cmd, load)
    }

    fn pillar<'a>(&'a self, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
        LocalLink.pillar(load)
    }

    fn fire_event<'a>(&'a self, tag: &'a str, data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((tag.to_owned(), data));
        Box::pin(async { Ok(()) })
    }

    fn return_job<'a>(&'a self, ret: Map) -> BoxFuture<'a, Result<(), LinkError>> {
        LocalLink.return_job(ret)
    }
}
