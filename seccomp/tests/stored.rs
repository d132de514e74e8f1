//! Programs as bytes: what was kept is what was compiled, and what is no program is not taken for one.

use husk_seccomp::{Program, compile, compiler};
use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};

fn engine() -> Program {
    let profile: LinuxSeccomp =
        serde_json::from_str(include_str!("profiles/engine.json")).expect("the fixture is JSON");
    compile(&profile).expect("a program")
}

fn bytes_of(instructions: &[(u16, u8, u8, u32)]) -> Vec<u8> {
    let mut bytes = 0_u32.to_ne_bytes().to_vec();
    bytes.extend(u32::try_from(instructions.len()).expect("few").to_ne_bytes());
    for (code, jt, jf, k) in instructions {
        bytes.extend(code.to_ne_bytes());
        bytes.extend([*jt, *jf]);
        bytes.extend(k.to_ne_bytes());
    }
    bytes
}

const ALLOW: (u16, u8, u8, u32) = (0x06, 0, 0, 0x7fff_0000);

#[test]
fn a_program_comes_back_as_it_was() {
    let profile: Value = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [{"names": ["no_such_call", "read", "ü"], "action": "SCMP_ACT_NOTIFY"}]
    });
    let small = compile(&serde_json::from_value(profile).expect("a profile")).expect("a program");
    for program in [engine(), small] {
        let back = Program::from_bytes(&program.to_bytes()).expect("the same program");
        assert_eq!(back.to_bytes(), program.to_bytes());
        assert_eq!((back.flags(), back.unknown_names()), (program.flags(), program.unknown_names()));
        assert_eq!(back.disassemble().to_string(), program.disassemble().to_string());
    }
    assert!(compiler().contains(std::env::consts::ARCH));
}

#[test]
fn what_the_kernel_would_refuse_is_no_program() {
    assert!(Program::from_bytes(&bytes_of(&[ALLOW])).is_some());
    for (what, program) in [
        ("nothing", vec![]),
        ("no return at the end", vec![ALLOW, (0x20, 0, 0, 0)]),
        ("a jump behind the end", vec![(0x05, 0, 0, 1), ALLOW]),
        ("a jump far behind the end", vec![(0x05, 0, 0, u32::MAX), ALLOW]),
        ("a branch behind the end", vec![(0x15, 0, 1, 0), ALLOW]),
        ("a load of half a word", vec![(0x20, 0, 0, 2), ALLOW]),
        ("a load behind the data", vec![(0x20, 0, 0, 64), ALLOW]),
        ("an instruction of another machine", vec![(0x87, 0, 0, 0), ALLOW]),
        ("too many", vec![ALLOW; 4097]),
    ] {
        assert!(Program::from_bytes(&bytes_of(&program)).is_none(), "{what}");
    }
}

/// Cut anywhere, or with more behind it: never a panic, and never half a program.
#[test]
fn a_damaged_one_is_no_program() {
    let bytes = engine().to_bytes();
    let instructions = 8 + engine().len() * 8;
    for length in 0..bytes.len() {
        let found = Program::from_bytes(&bytes[..length]);
        // Without the list of unknown names, or with fewer, it is a program still.
        assert!(found.is_none_or(|program| length >= instructions && program.len() == engine().len()));
    }
    assert!(Program::from_bytes(&[bytes, vec![1]].concat()).is_none());
}
