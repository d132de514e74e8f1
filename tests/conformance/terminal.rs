//! Terminals: one that is sent over the console socket, and the caller's own in the foreground.

use husk_conformance::suite::Case;
use husk_conformance::terminal::{ConsoleSocket, Terminal};
use husk_conformance::{Lab, Outcome, case};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(console_socket_gets_the_terminal),
        case!(typed_lines_arrive),
        case!(newlines_stay_newlines, lacks "runc": "leaves it to whoever receives the terminal"),
        case!(terminal_is_the_controlling_one),
        case!(terminal_belongs_to_the_user),
        case!(size_is_the_configs),
        case!(create_needs_a_console_socket),
        case!(console_socket_needs_a_terminal),
        case!(console_socket_is_missing),
        case!(foreground_uses_the_callers_terminal),
        case!(foreground_follows_the_window),
        case!(foreground_restores_the_terminal),
        case!(exec_in_the_foreground),
        case!(exec_sends_its_terminal),
    ]
}

/// Creates a container with a terminal, receives that, and starts it.
macro_rules! with_terminal {
    ($container:ident) => {{
        let socket = ConsoleSocket::listen(&$container.directory)?;
        $container.config.put("/process/terminal", json!(true));
        $container.create_with(&["--console-socket", &socket.path.to_string_lossy()])?.output()?.ok();
        let received = socket.receive()?;
        $container.start()?.ok();
        received
    }};
}

fn console_socket_gets_the_terminal(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("tty; test -t 0 && test -t 1 && test -t 2 && test -c /dev/console && echo all");
    let (mut terminal, name) = with_terminal!(container);
    let seen = terminal.expect("all")?;
    assert!(seen.contains("/dev/pts/0") || seen.contains("/dev/console"), "{seen}");
    assert!(!name.is_empty(), "the terminal's name comes with it");
    Ok(())
}

fn typed_lines_arrive(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("echo ready; read line; echo got $line; exit 5");
    let (mut terminal, _) = with_terminal!(container);
    terminal.expect("ready")?;
    terminal.send("a line\n")?;
    terminal.expect("got a line")?;
    container.becomes("stopped")?;
    container.delete()?.ok();
    container.nothing_left()
}

/// Engines expect what the program wrote: the terminal must not make \r\n of it.
fn newlines_stay_newlines(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("echo one; echo two; echo end");
    let (mut terminal, _) = with_terminal!(container);
    assert_eq!(terminal.expect("end")?.trim_end(), "one\ntwo\nend");
    Ok(())
}

fn terminal_is_the_controlling_one(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container
        .config
        .sh("trap 'echo interrupted; exit 0' INT; echo hello > /dev/tty; while :; do sleep 0.05; done");
    let (mut terminal, _) = with_terminal!(container);
    terminal.expect("hello")?;
    terminal.send("\x03")?;
    terminal.expect("interrupted")?;
    Ok(())
}

fn terminal_belongs_to_the_user(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/user", json!({"uid": 1000, "gid": 1000}));
    container.config.sh("stat -c 'owner %u end' /dev/pts/0; echo x > /dev/tty && echo writable");
    let (mut terminal, _) = with_terminal!(container);
    assert!(terminal.expect("writable")?.contains("owner 1000 end"));
    Ok(())
}

fn size_is_the_configs(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/consoleSize", json!({"height": 31, "width": 101}));
    container.config.sh("stty size; echo end");
    let (mut terminal, _) = with_terminal!(container);
    assert!(terminal.expect("end")?.contains("31 101"));
    Ok(())
}

fn create_needs_a_console_socket(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/terminal", json!(true));
    let words = ["cannot allocate tty if", "will detach without setting console socket"];
    container.create()?.exits(1).says(&words);
    container.nothing_left()
}

fn console_socket_needs_a_terminal(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let socket = ConsoleSocket::listen(&container.directory)?;
    let create = container.create_with(&["--console-socket", &socket.path.to_string_lossy()])?;
    let words = ["cannot use console socket if", "will not detach or allocate tty"];
    create.output()?.exits(1).says(&words);
    container.nothing_left()
}

fn console_socket_is_missing(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/terminal", json!(true));
    let create = container.create_with(&["--console-socket", "/no/such/socket"])?;
    create.output()?.exits(1).says(&["/no/such/socket", "no such file or directory"]);
    container.nothing_left()
}

fn foreground_uses_the_callers_terminal(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let (mut terminal, other_side) = Terminal::open(24, 80)?;
    container
        .config
        .put("/process/terminal", json!(true))
        .sh("test -t 0 && echo ready; read line; echo got $line; exit 5");
    let running = container.run_with(&[])?.on_terminal(&other_side)?.spawn()?;
    terminal.expect("ready")?;
    terminal.send("a line\n")?;
    let seen = terminal.expect("got a line")?;
    // The caller's terminal goes on making whole line ends of newlines; without that a person sees stairs.
    assert!(seen.contains("ready\r\n"), "{seen:?}");
    running.wait()?.exits(5);
    container.nothing_left()
}

fn foreground_follows_the_window(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let (mut terminal, other_side) = Terminal::open(33, 99)?;
    // A shell's trap does not say when it is in place; reading the size again and again needs none.
    let script = "echo ready; while :; do stty size; sleep 0.05; done";
    container.config.put("/process/terminal", json!(true)).sh(script);
    let running = container.run_with(&[])?.on_terminal(&other_side)?.spawn()?;
    terminal.expect("33 99")?;
    terminal.resize(44, 111)?;
    terminal.expect("44 111")?;
    container.kill("KILL")?.ok();
    running.wait()?.exits(137);
    container.nothing_left()
}

fn foreground_restores_the_terminal(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let (mut terminal, other_side) = Terminal::open(24, 80)?;
    let before = terminal.modes()?;
    container.config.put("/process/terminal", json!(true)).sh("echo ready; read line");
    let running = container.run_with(&[])?.on_terminal(&other_side)?.spawn()?;
    terminal.expect("ready")?;
    assert_ne!(terminal.modes()?, before, "meanwhile the caller's terminal is raw");
    terminal.send("\n")?;
    running.wait()?.ok();
    assert_eq!(terminal.modes()?, before);
    // Also when there is no container in the end.
    container.config.args(&["/no/such/program"]);
    container.run_with(&[])?.on_terminal(&other_side)?.output()?.exits(1);
    assert_eq!(terminal.modes()?, before);
    container.nothing_left()
}

fn exec_in_the_foreground(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let (mut terminal, other_side) = Terminal::open(24, 80)?;
    let before = terminal.modes()?;
    let script = "test -t 0 && echo ready; read line; echo got $line; exit 5";
    let exec = container.exec_with(&["--tty"], &["/bin/sh", "-c", script])?;
    let running = exec.on_terminal(&other_side)?.spawn()?;
    terminal.expect("ready")?;
    terminal.send("a line\n")?;
    terminal.expect("got a line")?;
    running.wait()?.exits(5);
    assert_eq!(terminal.modes()?, before);
    Ok(())
}

fn exec_sends_its_terminal(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let socket = ConsoleSocket::listen(&container.directory)?;
    let flags = ["--tty", "--detach", "--console-socket", &socket.path.to_string_lossy()];
    let exec =
        container.exec_with(&flags, &["/bin/sh", "-c", "echo one; read line; echo got $line"])?.spawn()?;
    let (mut terminal, _) = socket.receive()?;
    exec.wait()?.ok();
    terminal.send("a line\n")?;
    assert!(terminal.expect("got a line")?.contains("one"));
    Ok(())
}
