//! systemd's manager, asked over D-Bus to run a unit (org.freedesktop.systemd1(5)).
//!
//! One connection a conversation, blocking, with one deadline for all of it. systemd answers a request with a job and
//! says later how that ended, so every request here returns when its job has.

#![forbid(unsafe_code)]

mod connection;
mod message;

use crate::error::{Error, ErrorKind, Result};
use crate::options::SystemdManager;
use crate::plan::{UnitPlan, UnitProperty};
use connection::{Connection, Refused};
use message::Properties;
use std::time::{Duration, Instant};

/// What a busy machine may take; runc waits as long.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A conversation with a systemd.
#[derive(Debug)]
pub(crate) struct Systemd {
    connection: Connection,
}

/// What became of a request to start a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    Now,
    /// A slice that was there.
    Before,
}

impl Systemd {
    pub(crate) fn connect(manager: &SystemdManager) -> Result<Systemd> {
        Ok(Systemd { connection: Connection::open(manager, Instant::now() + ANSWER_WITHIN)? })
    }

    /// `StartTransientUnit`, with all properties at once; a scope begins with this process.
    ///
    /// A unit of that name which is there is mostly one that failed and that nobody has reset: it is, once. A property
    /// that this systemd is too old for is left out if it only repeats what is written into the cgroup's files.
    pub(crate) fn start(&mut self, unit: &UnitPlan, pid: Option<i32>) -> Result<Started> {
        let mut properties: Vec<&UnitProperty> = unit.properties.iter().collect();
        let mut reset = false;
        loop {
            let body = message::start_transient_unit(&unit.name, Properties { list: &properties, pid })?;
            let refused = match self.connection.ask_for_job("StartTransientUnit", body)? {
                Ok(result) if result == "done" => return Ok(Started::Now),
                Ok(result) => {
                    self.reset_failed(&unit.name)?;
                    let message =
                        format!("systemd could not start unit {}: its job ended as {result:?}", unit.name);
                    let hint = format!(
                        "systemctl{} status {}",
                        if unit.manager.is_user() { " --user" } else { "" },
                        unit.name
                    );
                    return Err(Error::new(ErrorKind::System, message).with_hint(hint));
                }
                Err(refused) => refused,
            };
            let unknown = properties.iter().position(|property| {
                refused.is("org.freedesktop.DBus.Error.PropertyReadOnly")
                    && refused.message.contains(&property.name)
                    && property.pointer.starts_with("/linux/resources/")
            });
            if let Some(index) = unknown {
                properties.remove(index);
            } else if !refused.is("org.freedesktop.systemd1.UnitExists") {
                return Err(start_error(unit, &refused));
            } else if unit.is_slice() {
                return Ok(Started::Before);
            } else if reset {
                return Err(exists(unit));
            } else {
                self.reset_failed(&unit.name)?;
                reset = true;
            }
        }
    }

    /// `StopUnit`, and forgets a failure. A unit that is gone is none to stop.
    pub(crate) fn stop(&mut self, name: &str) -> Result<()> {
        let body = message::of((name, "replace"))?;
        match self.connection.ask_for_job("StopUnit", body)? {
            Err(refused) if refused.is(NO_SUCH_UNIT) => return Ok(()),
            Err(refused) => return Err(refused.error(&format!("systemd would not stop unit {name}"))),
            // A failed job leaves a failed unit.
            Ok(_) => {}
        }
        self.reset_failed(name)
    }

    /// `SetUnitProperties`, for as long as the unit lives. systemd takes all or none.
    pub(crate) fn set_properties(&mut self, name: &str, properties: &[UnitProperty]) -> Result<()> {
        let list: Vec<&UnitProperty> = properties.iter().collect();
        let body = message::set_unit_properties(name, Properties { list: &list, pid: None })?;
        match self.connection.ask("SetUnitProperties", body)? {
            Ok(_) => Ok(()),
            Err(refused) => Err(refused.error(&format!("systemd would not change unit {name}"))),
        }
    }

    /// `AttachProcessesToUnit`: moves a process of the caller's into the unit's cgroup. A user's systemd asks the
    /// machine's to, where it may not do that itself. `below` is a cgroup below the unit's, `/a/b`, or nothing.
    pub(crate) fn attach(&mut self, name: &str, below: &str, pid: i32) -> Result<()> {
        let body = message::of((name, below, vec![pid.unsigned_abs()]))?;
        match self.connection.ask("AttachProcessesToUnit", body)? {
            Ok(_) => Ok(()),
            Err(refused) => Err(refused.error(&format!("systemd would not take a process into unit {name}"))),
        }
    }

    /// The cgroup of a slice, below the root that systemd sees.
    pub(crate) fn control_group(&mut self, name: &str) -> Result<String> {
        let path = match self.connection.ask("GetUnit", message::of(name)?)? {
            Ok(reply) => reply.object_path()?,
            Err(refused) => return Err(refused.error(&format!("systemd does not know unit {name}"))),
        };
        let body = message::of(("org.freedesktop.systemd1.Slice", "ControlGroup"))?;
        match self.connection.ask_object(&path, "org.freedesktop.DBus.Properties", "Get", body)? {
            Ok(reply) => reply.variant_text(),
            Err(refused) => Err(refused.error(&format!("systemd does not tell the cgroup of {name}"))),
        }
    }

    fn reset_failed(&mut self, name: &str) -> Result<()> {
        // One that has not failed, or has gone meanwhile, has nothing to reset.
        self.connection.ask("ResetFailedUnit", message::of(name)?).map(drop)
    }
}

/// Asks a message everything that answers are asked.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_anything(bytes: &[u8]) {
    let _ = message::length(bytes);
    let Ok(incoming) = message::Incoming::read(bytes.to_vec()) else { return };
    let _ = (incoming.object_path(), incoming.variant_text(), incoming.removed_job());
    let _ = incoming.error_text();
}

const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

fn start_error(unit: &UnitPlan, refused: &Refused) -> Error {
    let error = refused.error(&format!("systemd would not start unit {}", unit.name));
    let named = unit.properties.iter().find(|property| refused.message.contains(&property.name));
    match named.filter(|property| !property.pointer.is_empty()) {
        Some(property) => error.with_hint(format!("{} is what {} asks for", property.name, property.pointer)),
        None => error,
    }
}

fn exists(unit: &UnitPlan) -> Error {
    let message = format!("systemd runs a unit {} already", unit.name);
    Error::new(ErrorKind::AlreadyExists, message).with_hint(
        "give another /linux/cgroupsPath; `systemctl status` of the unit shows whose processes are in it",
    )
}
