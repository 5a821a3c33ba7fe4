//! The examples of the documentation: every block marked `console` is run, and every block whose first line is a
//! comment with a file's name is that file.

use std::path::Path;
use std::process::Command;

use crate::program::Program;

/// What stands for anything: in a line a part of it, alone any number of lines.
const ANYTHING: &str = "…";

struct Example {
    command: String,
    expected: Vec<String>,
}

/// The fenced blocks of a page: language and lines.
fn blocks(page: &str) -> Vec<(String, Vec<&str>)> {
    let (mut blocks, mut open) = (Vec::new(), false);
    for line in page.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(language), false) => blocks.push((language.to_owned(), Vec::new())),
            (Some(_), true) => {}
            (None, true) => blocks.last_mut().map(|(_, lines): &mut (_, Vec<_>)| lines.push(line)).unwrap(),
            (None, false) => continue,
        }
        if line.starts_with("```") {
            open = !open;
        }
    }
    blocks
}

fn examples(lines: &[&str]) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), examples.last_mut()) {
            (Some(command), _) => examples.push(Example { command: command.to_owned(), expected: Vec::new() }),
            (None, Some(example)) => example.expected.push((*line).to_owned()),
            (None, None) => panic!("a block must start with a command: {line}"),
        }
    }
    examples
}

/// Runs a command in a shell, `flyte-secrets` being the built program; both outputs, in the order they came.
fn run(program: &Program, command: &str) -> String {
    let path = std::env::join_paths([program.folder().join("bin").as_path(), Path::new("/usr/bin"), Path::new("/bin")]);
    let output = Command::new("sh")
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(program.folder())
        .env_clear()
        .env("PATH", path.unwrap())
        .env("HOME", program.folder())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn line_fits(expected: &str, line: &str) -> bool {
    let mut parts = expected.split(ANYTHING);
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

fn fits(expected: &[String], lines: &[&str]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((first, more)), _) if first.trim() == ANYTHING => {
            (0..=lines.len()).any(|skipped| fits(more, &lines[skipped..]))
        }
        (Some((first, more)), Some((line, rest))) => line_fits(first, line) && fits(more, rest),
        _ => false,
    }
}

fn play(page: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let page = std::fs::read_to_string(root.join(page)).unwrap();
    let program = Program::new();
    std::fs::create_dir(program.folder().join("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_flyte-secrets"), program.folder().join("bin/flyte-secrets"))
        .unwrap();
    std::os::unix::fs::symlink(root.join("examples"), program.folder().join("examples")).unwrap();
    let mut played = 0;
    for (language, lines) in blocks(&page) {
        if language == "console" {
            for Example { command, expected } in examples(&lines) {
                let output = run(&program, &command);
                let lines: Vec<&str> = output.lines().collect();
                assert!(fits(&expected, &lines), "$ {command}\n{output}\nexpected:\n{}", expected.join("\n"));
                played += 1;
            }
        } else if let Some(name) = lines.first().and_then(|line| line.strip_prefix("# ")).filter(|_| language == "yaml")
        {
            program.file(name, lines.join("\n") + "\n");
        }
    }
    assert!(played > 0, "the page has no example");
}

#[test]
fn the_examples_of_the_command_line_page_are_right() {
    play("docs/command-line.md");
}

#[test]
fn the_examples_of_the_stores_page_are_right() {
    play("docs/stores.md");
}

#[test]
fn the_examples_of_the_propagate_page_are_right() {
    play("docs/propagate.md");
}

#[test]
fn the_examples_of_the_readme_are_right() {
    play("README.md");
}

#[test]
fn expected_lines_may_leave_parts_open() {
    let fits = |expected: &str, output: &str| {
        fits(&expected.lines().map(str::to_owned).collect::<Vec<_>>(), &output.lines().collect::<Vec<_>>())
    };
    for (expected, output, is) in [
        ("a\nb", "a\nb", true),
        ("a", "a\nb", false),
        ("a\nb", "a", false),
        ("a\n…", "a\nb\nc", true),
        ("a\n…", "a", true),
        ("…\nc", "a\nb\nc", true),
        ("…\nc", "a\nb", false),
        ("a…c", "abc", true),
        ("a…c", "abd", false),
        ("a…", "ab", true),
        ("x…y…z", "x1y2z", true),
        ("x…y…z", "x1z", false),
        ("", "", true),
        ("…", "", true),
        ("  …", "a\nb", true),
    ] {
        assert_eq!(fits(expected, output), is, "{expected:?} {output:?}");
    }
}
