//! Lines that make no sense, lines that are refused, and the help: none of them needs a container.

use crate::support::Scratch;

#[test]
fn a_usage_error_ends_in_1_with_the_help_on_standard_output() {
    let scratch = Scratch::new();
    for (args, message, usage) in [
        (&["create"][..], "the following required arguments were not provided: <CONTAINER>", "husk create"),
        (&["kill"], "the following required arguments were not provided: <CONTAINER>...", "husk kill"),
        (
            &["kill", "x", "TERM", "y"],
            "unexpected value 'y' for '<CONTAINER>...' found; no more were expected",
            "husk kill",
        ),
        (&["run", "--nonsense", "x"], "unexpected argument '--nonsense' found", "husk run"),
        (&["state", "x", "y"], "unexpected argument 'y' found", "husk state"),
        (&["nonsense"], "unrecognized subcommand 'nonsense'", "husk"),
        (&["--log-format", "xml", "list"], "invalid log-format: xml", "husk list"),
        (
            &["list", "--format", "yaml"],
            "invalid value 'yaml' for '--format <FORMAT>' [possible values: table, json]",
            "husk list",
        ),
    ] {
        let run = scratch.husk(args);
        assert!(run.stdout.starts_with("Incorrect Usage: "), "{}", run.stdout);
        assert!(run.stdout.contains(&format!("Usage: {usage} ")), "{}", run.stdout);
        run.failed(1, message);
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let scratch = Scratch::new();
    for (args, what, code) in [
        (&["checkpoint", "x"][..], "checkpoint", 1),
        (&["restore", "-no-subreaper", "--bundle", "b", "x"], "restore", 1),
    ] {
        let run = scratch.husk(args).failed(code, &format!("{what} is not supported yet"));
        assert_eq!(run.stdout, "", "{}", run.line);
    }
}

#[test]
fn the_help_of_what_is_refused_says_so_and_tells_no_engine_that_it_works() {
    let scratch = Scratch::new();
    for command in ["checkpoint", "restore"] {
        let told = scratch.husk(&[command, "-h"]).ok().stdout;
        assert!(told.starts_with("Not supported yet"), "{told}");
        // Podman and CRI-O take a success of this for the ability.
        let asked = scratch.husk(&[command, "--help"]).failed(1, &format!("{command} is not supported yet"));
        assert_eq!(asked.stdout, told);
        assert!(scratch.runc(&[command, "-h"]).stdout.starts_with(&format!("NAME:\n   runc {command} - ")));
    }
}

#[test]
fn conditions_that_engines_read_have_runcs_words_and_codes() {
    let scratch = Scratch::new();
    scratch.husk(&["state", "nobody"]).failed(1, "container does not exist");
    scratch.husk(&["kill", "nobody", "KILL"]).failed(1, "container does not exist");
    scratch.husk(&["delete", "nobody"]).failed(1, "container does not exist");
    scratch.husk(&["delete", "--force", "nobody"]).ok();
    scratch.husk(&["update", "--memory", "1G", "nobody"]).failed(1, "container does not exist");
    scratch.husk(&["events", "--stats", "nobody"]).failed(1, "container does not exist");
    scratch.husk(&["exec", "nobody", "true"]).failed(255, "container does not exist");
    scratch.husk(&["create", ""]).failed(1, "container id cannot be empty");
    scratch.husk(&["create", "a/b"]).failed(1, "invalid container ID format: \"a/b\"");
    scratch.husk(&["run", "x"]).failed(1, "JSON specification file config.json not found");
    scratch.husk(&["kill", "x", "FROG"]).failed(1, "unknown signal \"FROG\"");
    scratch.husk(&["--root", "/", "list"]).failed(1, "Option --root argument should not be set to /");
}

#[test]
fn options_may_follow_the_container_and_have_one_dash() {
    let scratch = Scratch::new();
    let missing = "JSON specification file config.json not found";
    scratch.husk(&["create", "x", "--bundle", "."]).failed(1, missing);
    scratch.husk(&["run", "-no-subreaper", "x", "-bundle", "."]).failed(1, missing);
    scratch.husk(&["run", "--bundle", "/nowhere", "--bundle=.", "x"]).failed(1, missing);
}

#[test]
fn husks_own_files_are_not_passed_on() {
    let scratch = Scratch::new();
    // Among the first hundred is the log, in the first place that the caller left free.
    let line = ["--log", "log", "create", "--preserve-fds", "100", "x"];
    let run = scratch.husk(&line).failed(1, "cannot pass on descriptors 3 to 102: ");
    assert!(run.stderr.contains(" was not given"), "{}", run.stderr);
}

#[test]
fn options_of_exec_kill_and_ps_end_at_the_container() {
    let scratch = Scratch::new();
    // Were these read as husk's own, they would be usage errors.
    scratch
        .husk(&["exec", "nobody", "ls", "--nonsense", "-root", "/"])
        .failed(255, "container does not exist");
    scratch.husk(&["ps", "nobody", "-o", "pid", "--nonsense"]).failed(1, "container does not exist");
    scratch.husk(&["kill", "nobody", "-9"]).failed(1, "unknown signal \"-9\"");
}

#[test]
fn a_global_option_after_the_command_is_explained() {
    let run = Scratch::new().husk(&["run", "--log", "f", "x"]).failed(1, "unexpected argument '--log' found");
    assert!(run.stderr.contains("hint: --log stands before the command"), "{}", run.stderr);
}

#[test]
fn the_first_screen_says_where_to_begin() {
    let scratch = Scratch::new();
    let screen = scratch.husk(&["--help"]).ok().stdout;
    assert_eq!(scratch.husk(&[]).ok().stdout, screen);
    assert!(screen.lines().count() < 50, "it is more than one screen");
    let begin = screen.split("Begin here:").nth(1).expect("it has a beginning");
    assert!(begin.trim_start().starts_with("try "), "{begin}");
}

#[test]
fn every_command_explains_itself() {
    let scratch = Scratch::new();
    for command in [
        "try",
        "plan",
        "spec",
        "run",
        "create",
        "start",
        "kill",
        "delete",
        "exec",
        "pause",
        "resume",
        "ps",
        "state",
        "list",
        "features",
        "completion",
    ] {
        let help = scratch.husk(&[command, "--help"]).ok().stdout;
        assert!(help.contains("Example"), "{command}: {help}");
        assert_eq!(scratch.husk(&["help", command]).ok().stdout, help);
    }
}
