//! Keys from flags.

use crate::keys::{self, Named, SECTIONS};
use crate::kinds::{self, Kind};
use crate::origin::Source;
use crate::sections::{self, Assignment, Read};
use crate::yaml;

/// Reads the flags, in their order.
pub(crate) fn read(flags: &[(String, String)], read: &mut Read) {
    for (name, text) in flags {
        let source = Source::Flag(name.as_str().into());
        match keys::find(name) {
            Named::Key(key) => {
                if let Some(value) = kinds::read_text(key, text, &source, &mut read.errors) {
                    read.assignments.push(Assignment { key, value, origin: source.at(0, 0) });
                }
            }
            Named::Section(section) => match yaml::parse(text) {
                Ok(node) => sections::read_section(section, &node, &source, read),
                Err(error) => {
                    read.errors.push(crate::ConfigError::new(source.at(0, 0), section, error.message));
                }
            },
            Named::Unknown if keys::is_lenient(name) => {}
            Named::Unknown if is_foreign(name) => {
                read.warnings.push(format!("flag --{name} belongs to no section of ours and is ignored"));
            }
            Named::Unknown => read.errors.push(sections::unknown(name, source.at(0, 0))),
        }
    }
}

/// Whether a flag is on or off: without `=` it takes no other argument as its value, as in Go's pflag.
#[must_use]
pub fn is_switch(name: &str) -> bool {
    matches!(keys::find(name), Named::Key(key) if matches!(key.kind, Kind::Bool))
}

/// Whether the flag is one of another component of Flyte, `--admin.endpoint` for example.
fn is_foreign(name: &str) -> bool {
    let Some((section, _)) = name.split_once('.') else { return false };
    !SECTIONS.iter().any(|known| known.eq_ignore_ascii_case(section))
}
