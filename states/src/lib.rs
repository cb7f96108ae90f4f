//! Salt's state language: rendering, compilation, ordered runs, and the layouts Salt prints.
//!
//! An SLS becomes *high data* (Jinja, then YAML), high data becomes *low chunks* in order, and a run
//! decides which chunk is called next and what its requisites say. The crate is pure: files, execution
//! modules and state functions are behind traits, time is a parameter, and nothing here opens a
//! socket, reads a file or asks a clock.
//!
//! Where Salt's series differ, [`Series`] chooses; the default is the newest.

mod compile;
mod jinja;
pub mod json;
mod low;
pub mod output;
mod render;
mod ret;
mod run;
mod source;
mod value;
pub mod yaml;

pub use compile::{Compiler, HighState, compile, fnmatch};
pub use jinja::{Jinja, RenderError, TESTS, TemplateSpec, filter_names};
pub use low::{LowChunk, LowState, Order, Requisite, RequisiteKind, Target};
pub use render::{SlsFile, render_sls, render_sls_with};
pub use ret::{StateReturn, Timing};
pub use run::{
    Answer, Call, Finished, Parallel, ParallelStep, Question, Run, RunOptions, StateFunctions, Step,
};
pub use source::{
    FileError, Files, FunctionError, Functions, Matcher, RenderContext, Request, Series, Sources,
};
pub use value::{Map, SerializeError, Value, to_value};
