//! Which elements of a command are programs of their own, and where a placeholder is safe in one.

use super::template::{Form, Piece, Placeholder, Template};

/// What an element of a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// What is started.
    Program,
    /// An argument, one word whatever it holds.
    Argument,
    /// A script for a POSIX shell.
    Script,
    /// A program text for another interpreter.
    Code,
}

const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "busybox"];
const INTERPRETERS: [&str; 8] = ["python", "perl", "ruby", "node", "php", "lua", "awk", "pwsh"];

/// The roles of the elements of `command` followed by `args`. What starts without a `command` may be a shell, too: the
/// image knows.
pub(super) fn roles(command: &[&str], args: &[&str]) -> Vec<Role> {
    let all: Vec<&str> = command.iter().chain(args).copied().collect();
    let mut roles: Vec<Role> = (0..all.len())
        .map(|index| if index == 0 && !command.is_empty() { Role::Program } else { Role::Argument })
        .collect();
    let shell = if command.is_empty() {
        Some(0)
    } else {
        all.iter().position(|word| is_one_of(word, &SHELLS)).map(|at| at + 1)
    };
    if let Some(script) = shell.and_then(|from| script_behind(&all, from)) {
        roles[script] = Role::Script;
    } else if let Some(at) = all.iter().position(|word| is_one_of(word, &INTERPRETERS)) {
        for index in at + 1..all.len() {
            let flag = all[index - 1];
            if matches!(flag, "-c" | "-e" | "-E" | "-r" | "-p" | "-Command") || is_one_of(all[at], &["awk"]) {
                roles[index] = Role::Code;
            }
        }
    }
    roles
}

/// `/usr/bin/python3.12` is python.
fn is_one_of(word: &str, names: &[&str]) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    names.contains(&name)
}

/// The script of a shell: behind `-c`, alone or among other letters (`-ec`), the first element that is no option.
/// `-o` takes an element of its own.
fn script_behind(all: &[&str], from: usize) -> Option<usize> {
    let (mut index, mut has_script) = (from, false);
    while let Some(word) = all.get(index) {
        let is_option = word.len() > 1 && word.starts_with(['-', '+']);
        if has_script && !is_option {
            return Some(index);
        }
        if is_option && !word.starts_with("--") {
            has_script |= word.starts_with('-') && word.contains('c');
            index += usize::from(word.ends_with(['o', 'O']));
        }
        index += 1;
    }
    None
}

/// Words behind which a text may be read a second time, when its quotation marks are gone.
const READERS: [&str; 6] = ["eval", "let", "trap", "alias", "su", "ssh"];

/// What a place in a script stands in; the innermost counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Single,
    Double,
    Backquotes,
    Comment,
    /// `$(…)` and `(…)`: a script of its own.
    Commands,
    /// `${…}`, `$((…))` and `((…))`, with how many braces or parentheses are open.
    Expression(usize),
    /// Behind a here-document or a word of [`READERS`], to the end.
    ReadTwice,
}

/// Checks every placeholder of a script; an error is a sentence.
pub(super) fn check(template: &Template) -> Result<(), String> {
    let mut scanner = Scanner { inside: Vec::new(), escaped: false, word: String::new(), before: ' ' };
    for piece in &template.pieces {
        match piece {
            Piece::Literal(literal) => literal.chars().for_each(|character| scanner.step(character)),
            Piece::Placeholder(placeholder) => {
                scanner.place(placeholder)?;
                scanner.word.push('x');
                (scanner.escaped, scanner.before) = (false, 'x');
            }
        }
    }
    Ok(())
}

/// Reads a script up to a place. Where it cannot be sure it takes the place for an unsafe one.
struct Scanner {
    inside: Vec<Inside>,
    /// A backslash stands in front.
    escaped: bool,
    /// The word so far.
    word: String,
    /// The character in front.
    before: char,
}

impl Scanner {
    fn place(&self, placeholder: &Placeholder) -> Result<(), String> {
        let name = placeholder.field.name();
        match placeholder.form() {
            Form::Harmless => return Ok(()),
            Form::ShellWord => {}
            Form::Raw => {
                return Err(format!(
                    "{placeholder} in a shell script could break out of its string: write {{{{{name}|sh}}}}, outside of \
                     quotation marks, or hand it over as an argument or a variable"
                ));
            }
            Form::JsonString => {
                return Err(format!(
                    "{placeholder} in a shell script could break out of its string: the shell reads it too, so write \
                     {{{{{name}|json|sh}}}}"
                ));
            }
        }
        let Some(place) = self.unsafe_place() else { return Ok(()) };
        Err(format!(
            "{placeholder} stands {place} of a shell script, where it could break out of its string: assign it first, \
             x={{{{{name}|sh}}}}, and use \"$x\""
        ))
    }

    fn unsafe_place(&self) -> Option<&'static str> {
        let anywhere = |wanted: fn(&Inside) -> bool| self.inside.iter().any(wanted);
        if anywhere(|one| *one == Inside::ReadTwice) {
            return Some("behind a here-document, another shell or a word such as `eval`");
        }
        if anywhere(|one| *one == Inside::Backquotes) {
            return Some("inside backquotes");
        }
        if anywhere(|one| matches!(one, Inside::Expression(_))) {
            return Some("inside `${…}` or `$((…))`");
        }
        match self.inside.last() {
            Some(Inside::Single | Inside::Double) => Some("inside quotation marks"),
            Some(Inside::Comment) => Some("in a comment"),
            _ if self.escaped => Some("behind a backslash"),
            _ if self.before == '$' => Some("behind a `$`"),
            _ => None,
        }
    }

    fn step(&mut self, character: char) {
        let before = std::mem::replace(&mut self.before, character);
        if std::mem::take(&mut self.escaped) {
            self.word.push(character);
            return;
        }
        match self.inside.last().copied() {
            Some(Inside::ReadTwice) => {}
            Some(Inside::Single) => self.leave_at('\'', character),
            Some(Inside::Comment) => self.leave_at('\n', character),
            Some(Inside::Double | Inside::Backquotes | Inside::Expression(_)) if character == '\\' => {
                self.escaped = true
            }
            Some(Inside::Backquotes) => self.leave_at('`', character),
            Some(Inside::Double) => match (before, character) {
                (_, '"') => self.leave(),
                (_, '`') => self.enter(Inside::Backquotes),
                ('$', '(') => self.enter(Inside::Commands),
                ('$', '{') => self.enter(Inside::Expression(1)),
                _ => {}
            },
            Some(Inside::Expression(depth)) => match character {
                '{' | '(' => self.reenter(Inside::Expression(depth + 1)),
                '}' | ')' if depth == 1 => self.leave(),
                '}' | ')' => self.reenter(Inside::Expression(depth - 1)),
                // Quoting rules differ between shells in here.
                '\'' | '"' | '`' => self.enter(Inside::ReadTwice),
                _ => {}
            },
            Some(Inside::Commands) | None => self.bare(before, character),
        }
    }

    /// Outside of everything that quotes.
    fn bare(&mut self, before: char, character: char) {
        match character {
            '\\' => self.escaped = true,
            // `$'…'` is one thing in bash and another in dash.
            '\'' if before == '$' => self.enter(Inside::ReadTwice),
            '\'' => self.enter(Inside::Single),
            '"' => self.enter(Inside::Double),
            '`' => self.enter(Inside::Backquotes),
            '#' if ")<>".contains(before) => self.enter(Inside::ReadTwice),
            '#' if self.word.is_empty() => self.enter(Inside::Comment),
            '<' if before == '<' => self.enter(Inside::ReadTwice),
            '{' if before == '$' => self.enter(Inside::Expression(1)),
            '(' if before == '(' => self.reenter(Inside::Expression(2)),
            '(' => {
                self.end_word();
                self.enter(Inside::Commands);
            }
            ')' => {
                self.end_word();
                self.leave();
            }
            _ if character.is_whitespace() || ";&|".contains(character) => self.end_word(),
            _ => self.word.push(character),
        }
    }

    fn enter(&mut self, inside: Inside) {
        // What is quoted belongs to a word; commands begin with a new one.
        if inside == Inside::Commands {
            self.word.clear()
        } else {
            self.word.push('x')
        }
        self.inside.push(inside);
    }

    fn reenter(&mut self, inside: Inside) {
        self.inside.pop();
        self.inside.push(inside);
    }

    fn leave(&mut self) {
        if let Some(Inside::Comment) = self.inside.pop() {
            self.word.clear();
        }
    }

    fn leave_at(&mut self, end: char, character: char) {
        if character == end {
            self.leave();
        }
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        // The parentheses of `case` have no partners.
        let unbalanced = word == "case" && !self.inside.is_empty();
        if unbalanced || is_one_of(&word, &READERS) || is_one_of(&word, &SHELLS) {
            self.inside.push(Inside::ReadTwice);
        }
    }
}
