//! floor: the lower bound of a container's start. A straight line of system calls that asks the kernel for what husk
//! asks it for with `runc spec`'s config (namespaces, mounts, devices, masks, cgroup, device rules, capabilities,
//! filter, exec) and for nothing else: no config, no state, no checks, no start gate. It is no runtime: paths in the root
//! are trusted, and a call that fails ends the program.
//!
//!   floor run ROOTFS CGROUP... [--filter FILE] [--resident MIB] -- PROGRAM      CGROUP: a directory to make, for each hierarchy
//!   floor exec PID CGROUP... -- PROGRAM                         CGROUP: a directory to join
//!
//! The unsafe code is this file's reason: each call below is one bare system call on constants and live C strings.

mod call;
mod cgroup;
mod exec;
mod run;

use std::ffi::CString;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str);
    match (words.next(), words.next()) {
        (Some("run"), Some(rootfs)) => run::run(rootfs, &Rest::read(words)),
        (Some("exec"), Some(pid)) => exec::exec(pid.parse().expect("a process id"), &Rest::read(words)),
        _ => panic!(
            "usage: floor run ROOTFS CGROUP... [--filter FILE] [--resident MIB] -- PROGRAM | floor exec PID CGROUP... -- PROGRAM"
        ),
    }
}

/// What both commands take.
struct Rest {
    cgroups: Vec<String>,
    /// A compiled seccomp filter: an array of `struct sock_filter`.
    filter: Option<Vec<u8>>,
    /// Memory that the caller has touched, as an embedder may have before it makes a container.
    resident: Vec<u8>,
    program: Vec<CString>,
}

impl Rest {
    fn read<'a>(mut words: impl Iterator<Item = &'a str>) -> Rest {
        let mut rest = Rest { cgroups: Vec::new(), filter: None, resident: Vec::new(), program: Vec::new() };
        while let Some(word) = words.next().filter(|word| *word != "--") {
            match word {
                "--filter" => {
                    rest.filter = Some(std::fs::read(words.next().expect("a file")).expect("the filter"))
                }
                "--resident" => {
                    let mib: usize =
                        words.next().and_then(|number| number.parse().ok()).expect("a number of MiB");
                    rest.resident = vec![1; mib << 20];
                }
                directory => rest.cgroups.push(directory.to_owned()),
            }
        }
        rest.program = words.map(c_string).collect();
        rest
    }
}

fn c_string(text: &str) -> CString {
    CString::new(text).expect("no NUL byte")
}
