//! The table of tests: named cases, run in parallel, with outcomes that `cargo test` has no word for.
//!
//! A case may state that a runtime lacks what it tests. Such a row is shown as `lacks` with its reason, and it
//! fails when it passes, so that the statement cannot outlive its truth. Skips are counted and shown; with
//! `CI=true` a skip of something that the machine should have is a failure.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::{Lab, Outcome, Runtime, Stop, compatibility, lacking};

type Test = Box<dyn Fn(&Lab) -> Outcome + Send + Sync>;

/// A named test.
pub struct Case {
    name: String,
    test: Test,
    lacks: &'static [(&'static str, &'static str)],
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Case {
    /// A test with the name that `cargo run` filters by: `topic::what_is_promised`.
    pub fn new(name: impl Into<String>, test: impl Fn(&Lab) -> Outcome + Send + Sync + 'static) -> Case {
        Case { name: name.into(), test: Box::new(test), lacks: &[] }
    }

    /// States which runtimes fail this test and why; a runtime is named by how its label starts (`runc 1.1`).
    pub fn lacks(mut self, lacks: &'static [(&'static str, &'static str)]) -> Case {
        self.lacks = lacks;
        self
    }
}

/// A case from a function, named `topic::function`.
#[macro_export]
macro_rules! case {
    ($function:ident) => {
        $crate::suite::Case::new(
            format!("{}::{}", module_path!().rsplit("::").next().unwrap_or(""), stringify!($function)),
            $function,
        )
    };
    ($function:ident, lacks $($runtime:literal: $why:literal),+) => {
        $crate::case!($function).lacks(&[$(($runtime, $why)),+])
    };
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Passed,
    Failed,
    Skipped,
    Lacks,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Passed => "ok",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skip",
            Verdict::Lacks => "lacks",
        }
    }
}

struct Row {
    name: String,
    verdict: Verdict,
    note: String,
}

/// What the command line asked for: `[FILTER…] [--exact] [--list] [--jobs N] [--table FILE]`, or `--compatibility FILE…`
/// for the page of docs/compatibility.md, from such tables.
#[derive(Default)]
struct Request {
    filters: Vec<String>,
    exact: bool,
    list: bool,
    jobs: Option<usize>,
    table: Option<String>,
    compatibility: Vec<String>,
}

impl Request {
    fn parse() -> Result<Request, String> {
        let mut request = Request::default();
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} wants a value"));
            match arg.as_str() {
                "--exact" => request.exact = true,
                "--list" => request.list = true,
                "--jobs" | "--test-threads" => {
                    request.jobs = Some(value()?.parse().map_err(|_| format!("{arg} wants a number"))?);
                }
                "--table" => request.table = Some(value()?),
                "--compatibility" => request.compatibility = args.by_ref().collect(),
                "--nocapture" | "--no-capture" => {}
                flag if flag.starts_with('-') => {
                    return Err(format!(
                        "{flag}: unknown; there is [FILTER…] --exact --list --jobs N --table FILE --compatibility FILE…"
                    ));
                }
                filter => request.filters.push(filter.to_owned()),
            }
        }
        Ok(request)
    }

    fn wants(&self, name: &str) -> bool {
        let matches =
            |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        self.filters.is_empty() || self.filters.iter().any(matches)
    }
}

thread_local! {
    /// Where the panic hook leaves the message of this thread's panic.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A case that fails when a row of tests/rows.txt is proved by none of these.
pub fn every_row_has_a_test(cases: &[Case]) -> Case {
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    let check = move |_: &Lab| {
        compatibility::check(&names).and_then(|()| lacking::check(&names)).map_err(Stop::Failed)
    };
    Case::new("compatibility::every_row_has_a_test", check)
}

/// Runs the cases that the command line asks for and prints the table.
pub fn main(cases: Vec<Case>) -> ExitCode {
    let request = match Request::parse() {
        Ok(request) => request,
        Err(message) => return refuse(&message),
    };
    if !request.compatibility.is_empty() {
        return write_page(&request.compatibility);
    }
    let cases: Vec<Case> = cases.into_iter().filter(|case| request.wants(&case.name)).collect();
    if request.list {
        cases.iter().for_each(|case| say(&case.name));
        return ExitCode::SUCCESS;
    }
    let runtime = match Runtime::find() {
        Ok(runtime) => runtime,
        Err(message) => return refuse(&message),
    };
    let lab = match Lab::open(runtime) {
        Ok(lab) => lab,
        Err(Stop::Unprovided(why)) if !in_ci() => {
            say(&format!("nothing can be tested here: {why}"));
            say(&format!("0 passed, 0 failed, {} skipped", cases.len()));
            return ExitCode::SUCCESS;
        }
        Err(stop) => return refuse(&format!("{stop:?}")),
    };
    say(&format!("{} tests of {} ({})", cases.len(), lab.runtime.label, lab.runtime.path.display()));
    std::panic::set_hook(Box::new(|panic| PANIC.set(panic.to_string())));
    let rows = run_all(&lab, &cases, request.jobs.unwrap_or_else(default_jobs));
    if let Some(file) = &request.table
        && let Err(error) = std::fs::write(file, table(&lab.runtime.label, &rows))
    {
        return refuse(&format!("{file}: {error}"));
    }
    summary(&lab.runtime.label, &rows)
}

/// The page of docs/compatibility.md, on stdout.
fn write_page(files: &[String]) -> ExitCode {
    let read = |file: &String| std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"));
    let page =
        files.iter().map(read).collect::<Result<Vec<_>, _>>().and_then(|texts| compatibility::page(&texts));
    match page {
        Ok(page) => {
            say(page.trim_end());
            ExitCode::SUCCESS
        }
        Err(message) => refuse(&message),
    }
}

/// The tests mostly wait for the kernel, so twice as many as there are processors.
fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from) * 2
}

fn run_all(lab: &Lab, cases: &[Case], jobs: usize) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let since = Instant::now();
                    let row = run_one(lab, case);
                    let seconds = since.elapsed().as_secs_f32();
                    say(&format!("{:6} {seconds:6.2}s  {}", row.verdict.word(), row.name));
                    if let Ok(mut rows) = rows.lock() {
                        rows.push(row);
                    }
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap_or_default();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn run_one(lab: &Lab, case: &Case) -> Row {
    let result = catch_unwind(AssertUnwindSafe(|| (case.test)(lab)));
    let beside_it = case.lacks.iter().copied().find(|(runtime, _)| lab.runtime.is(runtime));
    let lacking = beside_it.or_else(|| lacking::reason(&lab.runtime.label, &case.name));
    let (verdict, note) = match (result, lacking) {
        (Ok(Ok(())), None) => (Verdict::Passed, String::new()),
        (Ok(Ok(())), Some((runtime, why))) => {
            (Verdict::Failed, format!("it passes, but the table says that {runtime} lacks it: {why}"))
        }
        (Ok(Err(Stop::Unable(why))), _) => (Verdict::Skipped, why),
        (Ok(Err(Stop::Unprovided(why))), _) if !in_ci() => (Verdict::Skipped, why),
        (_, Some((_, why))) => (Verdict::Lacks, why.to_owned()),
        (Ok(Err(Stop::Failed(why) | Stop::Unprovided(why))), None) => (Verdict::Failed, why),
        (Err(_), None) => (Verdict::Failed, PANIC.take()),
    };
    Row { name: case.name.clone(), verdict, note }
}

fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

fn table(runtime: &str, rows: &[Row]) -> String {
    rows.iter().fold(String::new(), |mut text, row| {
        let first = row.note.lines().next().unwrap_or_default();
        let _ = writeln!(text, "{}\t{runtime}\t{}\t{first}", row.name, row.verdict.word());
        text
    })
}

fn summary(runtime: &str, rows: &[Row]) -> ExitCode {
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    for (verdict, title) in [(Verdict::Skipped, "skipped here"), (Verdict::Lacks, "lacks, as stated")] {
        if count(verdict) > 0 {
            say(&format!("\n{runtime}: {title}:"));
        }
        for row in rows.iter().filter(|row| row.verdict == verdict) {
            say(&format!("  {}: {}", row.name, row.note));
        }
    }
    for row in rows.iter().filter(|row| row.verdict == Verdict::Failed) {
        say(&format!("\nFAILED {}\n  {}", row.name, row.note.replace('\n', "\n  ")));
    }
    if count(Verdict::Lacks) > 0 {
        say(&format!("\n{} rows that {runtime} lacks, as stated", count(Verdict::Lacks)));
    }
    let failed = count(Verdict::Failed);
    say(&format!("{} passed, {failed} failed, {} skipped", count(Verdict::Passed), count(Verdict::Skipped)));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn refuse(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "husk-conformance: {message}");
    ExitCode::FAILURE
}

/// A figure that a case has found out, beside that it passed.
pub fn note(line: &str) {
    say(&format!("               {line}"));
}

/// A line of the report; when nobody reads it any more there is nobody to tell.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
