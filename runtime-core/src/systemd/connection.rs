//! A connection to systemd: authenticated, with requests answered one at a time.
//!
//! On systemd's own socket it is the only peer. A message bus has to be greeted first, and told that the ends of jobs
//! are wanted; both are sent with the first request, and nobody waits for their answers.

#![forbid(unsafe_code)]

use super::message::{self, Body, Incoming, Kind};
use crate::error::{Error, ErrorKind, Result};
use crate::options::SystemdManager;
use std::io::{self, BufReader, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Larger ones than these are not sent in answer to what is asked here.
const LONGEST_MESSAGE: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
    is_bus: bool,
    deadline: Instant,
    last_serial: u32,
    /// Ends of jobs that were told before anybody waited for them: object path and result.
    ended: Vec<(String, String)>,
}

/// An error that came back over D-Bus.
#[derive(Debug)]
pub(super) struct Refused {
    name: String,
    pub(super) message: String,
}

impl Refused {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    pub(super) fn error(&self, what: &str) -> Error {
        let kind = match self.name.as_str() {
            "org.freedesktop.DBus.Error.AccessDenied"
            | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => ErrorKind::PermissionDenied,
            _ => ErrorKind::System,
        };
        Error::new(kind, format!("{what}: {} ({})", self.message, self.name))
    }
}

impl Connection {
    /// Connects to the first of the manager's sockets that takes it.
    pub(super) fn open(manager: &SystemdManager, deadline: Instant) -> Result<Connection> {
        let mut failure = None;
        for socket in &manager.sockets {
            match connect(&socket.address) {
                Ok(stream) => {
                    let is_bus = socket.is_bus;
                    let (stream, ended) = (BufReader::new(stream), Vec::new());
                    let mut connection = Connection { stream, is_bus, deadline, last_serial: 0, ended };
                    connection.authenticate()?;
                    if is_bus {
                        connection.greet()?;
                    }
                    return Ok(connection);
                }
                Err(error) => drop(failure.get_or_insert((&socket.address, error))),
            }
        }
        let (address, error) = failure.unwrap_or((&NOWHERE, io::ErrorKind::NotFound.into()));
        let hint = if manager.is_user() {
            "no systemd of this user was reached: log in by way of systemd-logind, or `loginctl enable-linger`, and set \
             XDG_RUNTIME_DIR; or leave --systemd-cgroup out"
        } else {
            "is systemd running here? leave --systemd-cgroup out where it is not"
        };
        Err(Error::io(format!("cannot reach systemd at {address}"), "connect", &error).with_hint(hint))
    }

    /// SASL's EXTERNAL without a name: the kernel tells the other side who we are, which is right in a user namespace
    /// too. All lines are sent at once; what comes back are two (D-Bus specification, "Authentication Protocol").
    fn authenticate(&mut self) -> Result<()> {
        self.send(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        let mut answer = Vec::new();
        let mut byte = [0u8];
        while answer.len() < 512 && !answer.ends_with(b"\r\n") {
            self.receive(&mut byte)?;
            answer.push(byte[0]);
            if answer == b"DATA\r\n" {
                answer.clear();
            }
        }
        if answer.starts_with(b"OK ") {
            return Ok(());
        }
        let answer = String::from_utf8_lossy(&answer).trim().to_owned();
        Err(Error::new(
            ErrorKind::PermissionDenied,
            format!("systemd does not talk to this user: {answer:?}"),
        ))
    }

    fn greet(&mut self) -> Result<()> {
        const BUS: &str = "org.freedesktop.DBus";
        let rule = "type='signal',sender='org.freedesktop.systemd1',member='JobRemoved'";
        let mut bytes = Vec::new();
        for (member, body) in [("Hello", Body::default()), ("AddMatch", message::of(rule)?)] {
            let serial = self.next_serial();
            bytes.extend(message::call(serial, Some(BUS), "/org/freedesktop/DBus", BUS, member, &body));
        }
        self.send(&bytes)
    }

    /// A method of the manager.
    pub(super) fn ask(&mut self, member: &str, body: Body) -> Result<Result<Incoming, Refused>> {
        self.ask_object("/org/freedesktop/systemd1", MANAGER, member, body)
    }

    /// One that is answered with a job: how that ended, `done` or not.
    pub(super) fn ask_for_job(&mut self, member: &str, body: Body) -> Result<Result<String, Refused>> {
        let job = match self.ask(member, body)? {
            Ok(reply) => reply.object_path()?,
            Err(refused) => return Ok(Err(refused)),
        };
        loop {
            if let Some(index) = self.ended.iter().position(|(path, _)| *path == job) {
                return Ok(Ok(self.ended.swap_remove(index).1));
            }
            let incoming = self.next_message()?;
            self.note_end_of_job(&incoming);
        }
    }

    pub(super) fn ask_object(
        &mut self,
        path: &str,
        interface: &str,
        member: &str,
        body: Body,
    ) -> Result<Result<Incoming, Refused>> {
        let serial = self.next_serial();
        let destination = self.is_bus.then_some(SYSTEMD);
        self.send(&message::call(serial, destination, path, interface, member, &body))?;
        loop {
            let incoming = self.next_message()?;
            match incoming.kind {
                Kind::Reply if incoming.reply_to == serial => return Ok(Ok(incoming)),
                Kind::Error if incoming.reply_to == serial => {
                    let message = incoming.error_text();
                    return Ok(Err(Refused { name: incoming.name, message }));
                }
                _ => self.note_end_of_job(&incoming),
            }
        }
    }

    fn note_end_of_job(&mut self, incoming: &Incoming) {
        if incoming.kind == Kind::Signal && incoming.name == "JobRemoved" {
            self.ended.extend(incoming.removed_job());
        }
    }

    fn next_serial(&mut self) -> u32 {
        self.last_serial += 1;
        self.last_serial
    }

    fn next_message(&mut self) -> Result<Incoming> {
        let mut bytes = vec![0u8; message::FIXED_HEADER];
        self.receive(&mut bytes)?;
        let length = message::length(&bytes).filter(|length| *length <= LONGEST_MESSAGE);
        let length = length.ok_or_else(|| message::not_understood("a message without end"))?;
        bytes.resize(length, 0);
        self.receive(&mut bytes[message::FIXED_HEADER..])?;
        Incoming::read(bytes)
    }

    /// How long the peer may still take.
    fn time_left(&self) -> Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(timed_out()) } else { Ok(left) }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let left = self.time_left()?;
        let stream = self.stream.get_mut();
        let sent = stream.set_write_timeout(Some(left)).and_then(|()| stream.write_all(bytes));
        sent.map_err(|error| talk_error("write", &error))
    }

    fn receive(&mut self, mut bytes: &mut [u8]) -> Result<()> {
        while !bytes.is_empty() {
            let left = self.time_left()?;
            // What is here already makes nobody wait.
            let patience = match self.stream.buffer() {
                [] => self.stream.get_ref().set_read_timeout(Some(left)),
                _ => Ok(()),
            };
            match patience.and_then(|()| self.stream.read(bytes)) {
                Ok(0) => return Err(talk_error("read", &io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => bytes = &mut bytes[length..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(talk_error("read", &error)),
            }
        }
        Ok(())
    }
}

static NOWHERE: String = String::new();

fn connect(address: &str) -> io::Result<UnixStream> {
    match address.strip_prefix('@') {
        Some(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?),
        None => UnixStream::connect(address),
    }
}

fn timed_out() -> Error {
    Error::new(ErrorKind::TimedOut, "systemd did not answer in time")
}

fn talk_error(call: &'static str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => timed_out(),
        _ => Error::io("cannot talk to systemd", call, error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A peer that says this much, and then nothing more.
    fn talk_to(said: &[u8]) -> Error {
        let path = std::env::temp_dir().join(format!("husk-peer-{}-{}", std::process::id(), said.len()));
        let listener = UnixListener::bind(&path).unwrap();
        let stream = UnixStream::connect(&path).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(said).unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        let mut connection = Connection {
            stream: BufReader::new(stream),
            is_bus: false,
            deadline,
            last_serial: 0,
            ended: Vec::new(),
        };
        let error =
            connection.authenticate().and_then(|()| connection.ask("Hello", Body::default())).unwrap_err();
        std::fs::remove_file(path).unwrap();
        error
    }

    #[test]
    fn who_does_not_answer_is_given_up() {
        for said in [&b""[..], b"DATA\r\n", b"OK 0123\r\n", b"OK 0123\r\nl\x02\x00\x01"] {
            let error = talk_to(said);
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        }
    }
}
