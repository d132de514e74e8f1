//! The table of docs/compatibility.md: what a runtime promises, a row each, and which tests prove it.
//!
//! The rows stand in `tests/rows.txt`, in our own words and grouped by topic; this page turns them and the results of
//! test runs (`--table FILE`) into Markdown. A row without a test is an error unless it says why it has none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const ROWS: &str = include_str!("../rows.txt");

/// Rows that belong together, and where they are specified.
#[derive(Debug, PartialEq, Eq)]
struct Topic<'a> {
    title: &'a str,
    source: &'a str,
    rows: Vec<Row<'a>>,
}

/// One promise.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    words: &'a str,
    /// Names of tests; one that ends with `*` stands for all that begin so.
    tests: Vec<&'a str>,
    /// Why there is none.
    untested: Option<&'a str>,
}

/// `== TITLE | SOURCE` begins a topic, a line at the margin a row; indented below it stand its tests, or `untested: WHY`.
fn parse(text: &str) -> Result<Vec<Topic<'_>>, String> {
    let mut topics: Vec<Topic<'_>> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |what: &str| Err(format!("tests/rows.txt:{number}: {what}: {line}"));
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(heading) = line.strip_prefix("== ") {
            let Some((title, source)) = heading.split_once(" | ") else { return wrong("no source") };
            topics.push(Topic { title, source, rows: Vec::new() });
            continue;
        }
        let Some(topic) = topics.last_mut() else { return wrong("a row before the first topic") };
        let Some(indented) = line.strip_prefix("    ") else {
            topic.rows.push(Row { words: line.trim(), tests: Vec::new(), untested: None });
            continue;
        };
        let Some(row) = topic.rows.last_mut() else { return wrong("tests before the first row") };
        match indented.trim().strip_prefix("untested: ") {
            Some(why) => row.untested = Some(why),
            None => row.tests.extend(indented.split_whitespace()),
        }
    }
    Ok(topics)
}

fn is_of(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// Whether every row has a test that exists, or a reason.
pub(crate) fn check(names: &[String]) -> Result<(), String> {
    let mut wrong = Vec::new();
    for row in parse(ROWS)?.iter().flat_map(|topic| &topic.rows) {
        if row.tests.is_empty() == row.untested.is_none() {
            wrong.push(format!("{:?} needs tests, or a reason to have none", row.words));
        }
        for test in row.tests.iter().filter(|test| !names.iter().any(|name| is_of(test, name))) {
            wrong.push(format!("{:?} names the test {test}, which is not there", row.words));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// What one run of the tests found.
#[derive(Debug)]
struct Run {
    label: String,
    /// For each test `ok`, `FAILED`, `skip` or `lacks`, and a word on it.
    verdicts: BTreeMap<String, (String, String)>,
}

impl Run {
    /// From lines of name, runtime, verdict and note, with tabs between them.
    fn parse(text: &str) -> Run {
        let mut run = Run { label: String::new(), verdicts: BTreeMap::new() };
        for line in text.lines() {
            let mut fields = line.split('\t').map(str::to_owned);
            let mut field = || fields.next().unwrap_or_default();
            let (name, label, verdict, note) = (field(), field(), field(), field());
            run.label = label;
            run.verdicts.insert(name, (verdict, note));
        }
        run
    }

    fn count(&self, verdict: &str) -> usize {
        self.verdicts.values().filter(|found| found.0 == verdict).count()
    }

    /// The cell of a row, and what there is to say about it.
    fn cell(&self, row: &Row<'_>) -> (Cell, Vec<&str>) {
        let of_row = self.verdicts.iter().filter(|(name, _)| row.tests.iter().any(|test| is_of(test, name)));
        let of_row: Vec<_> = of_row.map(|(_, found)| found).collect();
        let has = |verdict: &str| of_row.iter().any(|found| found.0 == verdict);
        let cell = match (has("ok"), has("FAILED") || has("lacks"), has("skip")) {
            (true, true, _) => Cell::Partly,
            (true, false, _) => Cell::Yes,
            (false, true, _) => Cell::No,
            (false, false, true) => Cell::Skipped,
            (false, false, false) => Cell::Untested,
        };
        let mut notes: Vec<&str> = of_row
            .iter()
            .filter(|found| found.0 == "lacks" || found.0 == "skip")
            .map(|found| found.1.as_str())
            .collect();
        notes.dedup();
        (cell, notes)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Yes,
    Partly,
    No,
    Skipped,
    Untested,
}

impl Cell {
    const ALL: [Cell; 5] = [Cell::Yes, Cell::Partly, Cell::No, Cell::Skipped, Cell::Untested];

    fn word(self) -> &'static str {
        match self {
            Cell::Yes => "yes",
            Cell::Partly => "partly",
            Cell::No => "no",
            Cell::Skipped => "skipped",
            Cell::Untested => "–",
        }
    }
}

/// The page, from the contents of several result files.
pub(crate) fn page(results: &[String]) -> Result<String, String> {
    let topics = parse(ROWS)?;
    let runs: Vec<Run> = results.iter().map(|text| Run::parse(text)).collect();
    let mut page = String::from(INTRODUCTION);
    summary(&mut page, &topics, &runs);
    for topic in &topics {
        let _ = writeln!(page, "\n## {}\n\n{}\n", topic.title, topic.source);
        let labels: Vec<&str> = runs.iter().map(|run| run.label.as_str()).collect();
        let _ = writeln!(page, "| | {} |\n|---{}|", labels.join(" | "), "|---".repeat(runs.len()));
        let mut notes = Vec::new();
        for row in &topic.rows {
            let cells: Vec<&str> = runs.iter().map(|run| run.cell(row).0.word()).collect();
            let _ = writeln!(page, "| {} | {} |", row.words.replace('|', "\\|"), cells.join(" | "));
            notes.extend(row.untested.map(|why| format!("- {}: no test here: {why}", row.words)));
            for run in &runs {
                let said = run.cell(row).1.into_iter().map(|note| {
                    let note = note.replace('<', "&lt;");
                    format!("- {}, {}: {note}", row.words, run.label)
                });
                notes.extend(said);
            }
        }
        if !notes.is_empty() {
            let _ = writeln!(
                page,
                "\n<details><summary>What is behind it</summary>\n\n{}\n\n</details>",
                notes.join("\n")
            );
        }
    }
    Ok(page)
}

const INTRODUCTION: &str = "<!-- Generated by `make compatibility` from tests/rows.txt and the results of the tests. Do not edit. -->

# Compatibility

What a runtime for OCI bundles promises, and which runtime keeps it: each row is proved by black-box tests
(`tests/conformance`) that ran on every runtime named here. *yes*: all of them pass. *partly*: some do. *no*: none
does; for husk that would be a mistake of ours, for others it may be a field they do not know, a file they leave behind, or
no more than words that differ from runc's, which engines read. *skipped*: this machine cannot show it, and the notes below each
table say why. *–*: there is no test here. Of a runc that is older than a field nothing else can be expected.
";

fn summary(page: &mut String, topics: &[Topic<'_>], runs: &[Run]) {
    let rows: Vec<&Row<'_>> = topics.iter().flat_map(|topic| &topic.rows).collect();
    let _ = writeln!(page, "\n{} rows:\n", rows.len());
    let words: Vec<&str> = Cell::ALL.map(Cell::word).to_vec();
    let _ = writeln!(
        page,
        "| runtime | {} | tests passed | failed | lacking, as stated | skipped |",
        words.join(" | ")
    );
    let _ = writeln!(page, "|---{}|", "|---:".repeat(words.len() + 4));
    for run in runs {
        let count = |cell: Cell| rows.iter().filter(|row| run.cell(row).0 == cell).count().to_string();
        let cells = Cell::ALL.map(count).join(" | ");
        let tests =
            ["ok", "FAILED", "lacks", "skip"].map(|verdict| run.count(verdict).to_string()).join(" | ");
        let _ = writeln!(page, "| {} | {cells} | {tests} |", run.label);
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Row, Run, check, parse};

    #[test]
    fn rows_are_read_with_their_topics() {
        let text = "# about\n== A topic | config.md\none thing\n    a::b a::c\n    d::*\n\nanother\n    untested: it is slow\n";
        let topics = parse(text).expect("it is well-formed");
        let rows = &topics[0].rows;
        assert_eq!((topics[0].title, topics[0].source), ("A topic", "config.md"));
        assert_eq!(rows[0], Row { words: "one thing", tests: vec!["a::b", "a::c", "d::*"], untested: None });
        assert_eq!(rows[1].untested, Some("it is slow"));
        for wrong in ["a row", "== no source", "== a | b\n    a::b"] {
            parse(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn a_row_whose_tests_are_gone_is_told() {
        let wrong =
            check(&["lifecycle::create_waits_for_start".to_owned()]).expect_err("most tests are missing");
        assert!(wrong.contains("names the test keyrings::"), "{wrong}");
        assert!(!wrong.contains("create_waits_for_start"), "{wrong}");
    }

    #[test]
    fn a_cell_says_what_all_tests_of_its_row_say() {
        let run = Run::parse(
            "a::b\tx 1\tok\t\na::c\tx 1\tlacks\tno field\na::d\tx 1\tskip\tno disk\nb::e\tx 1\tFAILED\t!",
        );
        let cell =
            |tests: &[&'static str]| run.cell(&Row { words: "", tests: tests.to_vec(), untested: None });
        assert_eq!(run.label, "x 1");
        assert_eq!(cell(&["a::b"]), (Cell::Yes, vec![]));
        assert_eq!(cell(&["a::b", "a::d"]), (Cell::Yes, vec!["no disk"]));
        assert_eq!(cell(&["a::*"]), (Cell::Partly, vec!["no field", "no disk"]));
        assert_eq!(cell(&["a::c"]), (Cell::No, vec!["no field"]));
        assert_eq!(cell(&["b::e"]), (Cell::No, vec![]));
        assert_eq!(cell(&["a::d"]), (Cell::Skipped, vec!["no disk"]));
        assert_eq!(cell(&["z::*"]), (Cell::Untested, vec![]));
    }
}
