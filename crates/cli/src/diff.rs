//! A unified diff, coloured on a terminal.

use anstyle::AnsiColor;
use similar::{ChangeTag, TextDiff};

/// Lines around a change.
const CONTEXT: usize = 3;

/// The difference between two texts. Colours are left out by `anstream` where there is no terminal.
pub(crate) fn unified(title: &str, before: &str, after: &str) -> String {
    unified_as(title, "with its secrets", before, after)
}

/// The same, with other words for what it is afterwards.
pub(crate) fn unified_as(title: &str, became: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut text = format!("--- {title} (as it was)\n+++ {title} ({became})\n");
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        text.push_str(&coloured(AnsiColor::Cyan, &format!("{}", hunk.header())));
        text.push('\n');
        for change in hunk.iter_changes() {
            let line = change.value();
            let line = line.strip_suffix('\n').unwrap_or(line);
            text.push_str(&match change.tag() {
                ChangeTag::Equal => format!(" {line}"),
                ChangeTag::Delete => coloured(AnsiColor::Red, &format!("-{line}")),
                ChangeTag::Insert => coloured(AnsiColor::Green, &format!("+{line}")),
            });
            text.push('\n');
        }
    }
    text
}

fn coloured(color: AnsiColor, line: &str) -> String {
    let style = color.on_default();
    format!("{style}{line}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_what_came_and_what_went() {
        let text = unified("Pod d/p", "a: 1\nb: 2\n", "a: 1\nb: 3\n");
        let plain = anstream::adapter::strip_str(&text).to_string();
        let expected =
            "--- Pod d/p (as it was)\n+++ Pod d/p (with its secrets)\n@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3\n";
        assert_eq!(plain, expected);
    }
}
