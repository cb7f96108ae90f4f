//! From the bytes of an SLS to its data: the `#!` line, the pipe of renderers, YAML's refusals.

use crate::jinja::{Jinja, RenderError, TemplateSpec};
use crate::{Map, Value, yaml};

/// An SLS file on its way to data.
#[derive(Debug, Clone, Copy)]
pub struct SlsFile<'a> {
    /// Its saltenv.
    pub saltenv: &'a str,
    /// Its dotted name; empty for a top file.
    pub sls: &'a str,
    /// Its path below the file root.
    pub path: &'a str,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// Renders an SLS to data through the pipe its `#!` line names, or through `default` (Salt's option
/// `renderer`). A renderer nobody knows makes nothing of the file, as with Salt; one
/// that Salt has and this minion lacks is an error.
pub fn render_sls(jinja: &Jinja, file: &SlsFile<'_>, default: &str) -> Result<Value, RenderError> {
    render_sls_with(jinja, file, default, &Map::new())
}

/// [`render_sls`] with further variables for the template, as an include of a pillar can name them.
pub fn render_sls_with(
    jinja: &Jinja,
    file: &SlsFile<'_>,
    default: &str,
    variables: &Map,
) -> Result<Value, RenderError> {
    let text = std::str::from_utf8(file.bytes)
        .map_err(|_| RenderError::plain(format!("salt://{} is not UTF-8 text", file.path)))?;
    if text.trim().is_empty() {
        return Ok(Value::Map(Map::new()));
    }
    if let Some(name) = names(text, default).find(|name| FOREIGN.contains(name)) {
        return Err(RenderError::plain(format!(
            "the renderer '{name}' of salt://{} is not supported by this minion, which runs no Python: write it as \
             jinja|yaml",
            file.path
        )));
    }
    let Some(pipe) = pipe(text, default) else { return Ok(Value::Map(Map::new())) };
    let mut stage = Stage::Text(text.to_owned());
    for renderer in pipe {
        stage = match stage {
            Stage::Text(text) => step(renderer, &text, jinja, (file, variables))?,
            Stage::Data(data) => Stage::Data(data),
        };
    }
    let data = match stage {
        Stage::Data(data) => data,
        Stage::Text(text) => Value::from(text),
    };
    Ok(if data.is_truthy() { data } else { Value::Map(Map::new()) })
}

/// A file between two renderers.
enum Stage {
    Text(String),
    Data(Value),
}

#[derive(Clone, Copy)]
enum Renderer {
    Jinja,
    Yaml,
    Json,
}

fn pipe(text: &str, default: &str) -> Option<Vec<Renderer>> {
    names(text, default).map(renderer).collect()
}

/// The renderers that the `#!` line names, or those of the configuration.
fn names<'t>(text: &'t str, default: &'t str) -> impl Iterator<Item = &'t str> {
    let first = text.lines().next().unwrap_or_default();
    let line = match first.strip_prefix("#!") {
        Some(line) if !line.starts_with('/') => line.trim(),
        Some(_) | None => default,
    };
    let line = match line {
        "yaml_jinja" => "jinja|yaml",
        "json_jinja" => "jinja|json",
        line => line,
    };
    line.split('|').map(|part| part.split_whitespace().next().unwrap_or_default())
}

/// Salt's renderers that need its Python, or keys that are not here.
const FOREIGN: [&str; 15] = [
    "aws_kms",
    "cheetah",
    "dson",
    "genshi",
    "gpg",
    "hjson",
    "mako",
    "nacl",
    "pass",
    "py",
    "pydsl",
    "pyobjects",
    "stateconf",
    "toml",
    "wempy",
];

fn renderer(name: &str) -> Option<Renderer> {
    match name {
        "jinja" => Some(Renderer::Jinja),
        "yaml" | "yamlex" => Some(Renderer::Yaml),
        "json" => Some(Renderer::Json),
        _ => None,
    }
}

fn step(
    renderer: Renderer,
    text: &str,
    jinja: &Jinja,
    (file, variables): (&SlsFile<'_>, &Map),
) -> Result<Stage, RenderError> {
    match renderer {
        Renderer::Jinja => {
            let sls = (!file.sls.is_empty()).then_some(file.sls);
            let variables = variables.clone();
            let spec = TemplateSpec { path: file.path, sls, saltenv: file.saltenv, variables };
            jinja.render(text, &spec).map(Stage::Text)
        }
        Renderer::Yaml => from_yaml(text, file).map(Stage::Data),
        Renderer::Json => from_json(text, file).map(Stage::Data),
    }
}

fn from_yaml(text: &str, file: &SlsFile<'_>) -> Result<Value, RenderError> {
    yaml::load(text)
        .map_err(|error| RenderError::at(error.problem, file.path, text, (error.line, error.column)))
}

fn from_json(text: &str, file: &SlsFile<'_>) -> Result<Value, RenderError> {
    let body = if text.starts_with("#!") { text.split_once('\n').map_or("", |(_, rest)| rest) } else { text };
    serde_json::from_str(body).map_err(|error| {
        let skipped = text.lines().count() - body.lines().count();
        RenderError::at(error.to_string(), file.path, text, (error.line() + skipped, error.column()))
    })
}
