//! Doors for `fuzz/` to what others say to husk and no public function hands on: answers of systemd and of the kernel's
//! rtnetlink, the words of a new process, and a line of an image's `/etc/passwd`.

use crate::{network, process, systemd};

/// A D-Bus message, from its first byte on; everything that is ever asked of one is asked.
pub fn dbus_message(bytes: &[u8]) {
    systemd::read_anything(bytes);
}

/// What one recv(2) of a netlink socket brings.
pub fn netlink_answer(bytes: &[u8]) {
    network::read_anything(bytes);
}

/// A word between the runtime and the process that it makes: what is understood is said in the same bytes.
pub fn word(bytes: [u8; 5]) {
    process::channel::check_word(bytes);
}

/// A line of passwd(5): the home of the user is a part of it.
pub fn home_in_passwd(line: &[u8], uid: u32) {
    let home = process::entry::home_in_line(line, uid);
    assert!(home.is_none_or(|home| !home.is_empty() && !home.contains(&b':')));
}
