//! The container's cgroups. cgroup v2 has one directory and an eBPF program for devices, v1 one directory a hierarchy.

use crate::c_string;
use crate::call::{call, open, write};
use std::path::Path;

/// What `runc spec` allows: node making, and the devices that every container has. (type, major, minor), -1: any.
const DEVICES: [(char, i32, i32); 9] = [
    ('c', 1, 3),
    ('c', 1, 8),
    ('c', 1, 7),
    ('c', 5, 0),
    ('c', 1, 5),
    ('c', 1, 9),
    ('c', 136, -1),
    ('c', 5, 2),
    ('c', 10, 200),
];

pub(crate) fn is_v2(directory: &str) -> bool {
    Path::new(directory).join("cgroup.type").exists()
}

/// Makes it and forbids devices; gives its fd for clone3 if it is of v2.
pub(crate) fn make(directory: &str) -> Option<i32> {
    call!(SYS_mkdirat, libc::AT_FDCWD, c_string(directory).as_ptr(), 0o755);
    if is_v2(directory) {
        let fd = open(&c_string(directory), libc::O_DIRECTORY);
        forbid_devices(fd);
        return Some(fd);
    }
    if Path::new(directory).join("devices.deny").exists() {
        write(&c_string(&format!("{directory}/devices.deny")), "a");
        let allow = c_string(&format!("{directory}/devices.allow"));
        ["c *:* m", "b *:* m"].iter().for_each(|rule| write(&allow, rule));
        for (kind, major, minor) in DEVICES {
            let minor = if minor < 0 { "*".to_owned() } else { minor.to_string() };
            write(&allow, &format!("{kind} {major}:{minor} rwm"));
        }
    }
    None
}

/// A v1 cpuset takes no process until it has processors and memory nodes.
pub(crate) fn fill_cpuset(directory: &str) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = Path::new(directory).join(file);
        let Some(parent) = Path::new(directory).parent().map(|parent| parent.join(file)) else { continue };
        if let Ok(value) = std::fs::read_to_string(parent)
            && own.exists()
        {
            write(&c_string(own.to_str().expect("UTF-8")), value.trim());
        }
    }
}

pub(crate) fn join(directory: &str) {
    write(&c_string(&format!("{directory}/cgroup.procs")), "0");
}

pub(crate) fn remove(directory: &str) {
    call!(SYS_unlinkat, libc::AT_FDCWD, c_string(directory).as_ptr(), libc::AT_REMOVEDIR);
}

/// bpf(2): a BPF_PROG_TYPE_CGROUP_DEVICE program, loaded and attached. `bpf_cgroup_dev_ctx` is three words: access and
/// type, major, minor.
fn forbid_devices(cgroup: i32) {
    let mut code = vec![
        load(2, 0), // type and access
        load(4, 4),
        load(5, 8),
    ];
    code.extend([mov(3, 2), and(3, 0xffff), mov(6, 2), rsh(6, 16)]);
    // Making a node, without reading or writing it.
    code.extend([jump_unless_equal(6, 1, 2), set(0, 1), RETURN]);
    for (_, major, minor) in DEVICES {
        let skip = if minor < 0 { 2 } else { 3 };
        code.extend([jump_unless_equal(3, 2, skip + 1), jump_unless_equal(4, major, skip)]);
        if minor >= 0 {
            code.push(jump_unless_equal(5, minor, 2));
        }
        code.extend([set(0, 1), RETURN]);
    }
    code.extend([set(0, 0), RETURN]);

    #[repr(C)]
    struct Load {
        kind: u32,
        length: u32,
        code: u64,
        license: u64,
        rest: [u64; 6],
    }
    let length = u32::try_from(code.len()).expect("a short program");
    let load = Load {
        kind: 15,
        length,
        code: code.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        rest: [0; 6],
    };
    let program = call!(SYS_bpf, 5, &raw const load, size_of::<Load>());
    let attach = [cgroup, program, 6 /* BPF_CGROUP_DEVICE */, 2 /* BPF_F_ALLOW_MULTI */];
    call!(SYS_bpf, 8, attach.as_ptr(), size_of_val(&attach));
    call!(SYS_close, program);
}

/// `struct bpf_insn`: opcode, registers, offset and immediate, in the machine's order of bytes.
const fn insn(opcode: u8, to: u8, from: u8, offset: i16, value: i32) -> u64 {
    let [o0, o1] = offset.to_ne_bytes();
    let [v0, v1, v2, v3] = value.to_ne_bytes();
    u64::from_ne_bytes([opcode, from << 4 | to, o0, o1, v0, v1, v2, v3])
}
const RETURN: u64 = insn(0x95, 0, 0, 0, 0);
const fn load(to: u8, offset: i16) -> u64 {
    insn(0x61, to, 1, offset, 0)
}
const fn mov(to: u8, from: u8) -> u64 {
    insn(0xbc, to, from, 0, 0)
}
const fn set(to: u8, value: i32) -> u64 {
    insn(0xb7, to, 0, 0, value)
}
const fn and(to: u8, value: i32) -> u64 {
    insn(0x54, to, 0, 0, value)
}
const fn rsh(to: u8, value: i32) -> u64 {
    insn(0x74, to, 0, 0, value)
}
const fn jump_unless_equal(register: u8, value: i32, skip: i16) -> u64 {
    insn(0x55, register, 0, skip, value)
}
