//! The Secret service of Flyte: names and metadata go out, values only come in.

mod proto;
