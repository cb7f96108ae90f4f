//! Jinja as Salt configures it: what templates see, Salt's tags, filters and tests, strict undefined.
//!
//! `minijinja` does the work; what it lacks is added in front (`tags`) or as functions. One
//! `Jinja` serves one compilation: pillar, grains and opts are converted once and, as with Salt, a
//! template that changes them in place changes what the next template sees.

use std::borrow::Cow;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value as Template;
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use crate::{Map, RenderContext, Sources, Value};

mod cycles;
mod error;
mod filters;
mod imports;
mod macros;
mod methods;
mod objects;
mod print;
mod salt_object;
mod tags;

pub use error::RenderError;
pub use filters::{TESTS, filter_names};

use objects::{make_dict, make_list, to_jinja};

/// Renders templates of one compilation.
pub struct Jinja {
    sources: Sources,
    globals: Vec<(&'static str, Template)>,
    context: RenderContext,
}

/// One template to render.
#[derive(Debug, Clone, Default)]
pub struct TemplateSpec<'a> {
    /// The path below the file root, or any name: the template calls itself so in errors.
    pub path: &'a str,
    /// The SLS name, when the template is an SLS.
    pub sls: Option<&'a str>,
    /// The saltenv that imports are read from.
    pub saltenv: &'a str,
    /// Further variables, `context` and `defaults` of `file.managed`; they win over all others.
    pub variables: Map,
}

impl Jinja {
    /// Prepares for a compilation.
    pub fn new(sources: &Sources, context: &RenderContext) -> Jinja {
        let globals = vec![
            ("salt", Template::from_object(salt_object::Salt(Arc::clone(&sources.functions)))),
            ("grains", to_jinja(&context.grains)),
            ("pillar", to_jinja(&context.pillar)),
            ("opts", to_jinja(&context.opts)),
        ];
        Jinja { sources: sources.clone(), globals, context: context.clone() }
    }

    /// Renders a template's text.
    pub fn render(&self, text: &str, spec: &TemplateSpec<'_>) -> Result<String, RenderError> {
        let text = text.replace("\r\n", "\n");
        let (text, own_options) = self.file_options(&text);
        let mut env = self
            .environment(spec, &own_options)
            .map_err(|error| RenderError::plain(format!("Jinja environment: {error}")))?;
        for (name, value) in location(spec) {
            env.add_global(name, Template::from(value));
        }
        for (name, value) in &spec.variables {
            env.add_global(name.to_string(), to_jinja(value));
        }
        let key = if spec.sls.is_some() { "jinja_sls_env" } else { "jinja_env" };
        let prefix = own_options.get("line_comment_prefix").or_else(|| {
            self.context.opts.get(key).and_then(|configured| configured.get("line_comment_prefix"))
        });
        let uncommented = prefix.and_then(Value::as_str).map(|prefix| tags::without_comments(&text, prefix));
        let source = tags::rewrite(uncommented.as_deref().unwrap_or(&text));
        let name = if spec.path.is_empty() { "template" } else { spec.path };
        let rendered = env
            .template_from_named_str(name, &source)
            .and_then(|template| template.render(Template::from(())));
        let mut rendered = rendered.map_err(|error| self.error(error, &text, spec, &env))?;
        if text.ends_with('\n') {
            rendered.push('\n');
        }
        Ok(rendered)
    }

    fn error(&self, error: Error, text: &str, spec: &TemplateSpec<'_>, env: &Environment<'_>) -> RenderError {
        // What an undefined attribute was asked of, where that can be looked up.
        let owner = |expression: &str| {
            let value = env.compile_expression(expression).ok()?.eval(Template::from(())).ok()?;
            Some(objects::from_jinja(&value).type_name()).filter(|_| !value.is_undefined())
        };
        RenderError::from_jinja(
            &error,
            text,
            spec,
            &error::Words { series: self.context.series, owner: &owner },
        )
    }

    fn environment(&self, spec: &TemplateSpec<'_>, own: &Map) -> Result<Environment<'static>, Error> {
        let mut env = Environment::new();
        env.set_debug(true);
        env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        let lenient = self.context.opts.get("allow_undefined").is_some_and(Value::is_truthy);
        let undefined = if lenient { UndefinedBehavior::Lenient } else { UndefinedBehavior::Strict };
        env.set_undefined_behavior(undefined);
        env.set_syntax(self.syntax(spec, own)?);
        env.set_formatter(format_value);
        env.set_unknown_method_callback(methods::unknown_method);
        env.set_path_join_callback(imports::join);
        env.set_loader(self.loader(spec.saltenv));
        filters::install(&mut env, Arc::clone(&self.sources.functions), &self.context);
        env.add_function("__list", make_list);
        env.add_function("__dict", make_dict);
        env.add_function("__own", objects::own);
        env.add_function("__alone", imports::alone);
        env.add_function("__nothing", || Template::UNDEFINED);
        env.add_function("__takes_more", macros::takes_more);
        env.add_function("cycler", cycles::cycler);
        env.add_function("joiner", cycles::joiner);
        env.add_function("dict", make_dict);
        env.add_function("odict", make_dict);
        env.add_function("raise", |reason: String| -> Result<Template, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, reason))
        });
        for (name, value) in &self.globals {
            env.add_global(*name, value.clone());
        }
        env.add_global("saltenv", spec.saltenv);
        Ok(env)
    }

    /// Reads imported and included templates from the file server.
    fn loader(
        &self,
        saltenv: &str,
    ) -> impl Fn(&str) -> Result<Option<String>, Error> + Send + Sync + 'static + use<> {
        let files = Arc::clone(&self.sources.files);
        let saltenv = saltenv.to_owned();
        move |marked| {
            let name = imports::unmarked(marked);
            let read = files.read(&saltenv, name);
            let bytes = read.map_err(|error| {
                Error::new(ErrorKind::TemplateNotFound, error.to_string()).with_source(error)
            })?;
            let Some(bytes) = bytes else { return Ok(None) };
            let text = String::from_utf8(bytes)
                .map_err(|_| Error::new(ErrorKind::InvalidOperation, format!("{name} is not UTF-8 text")))?;
            Ok(Some(format!("{}{}", imports::prefix(marked), tags::rewrite(&text))))
        }
    }

    /// `jinja_env` or `jinja_sls_env` of the minion's configuration, and the file's own header.
    fn syntax(&self, spec: &TemplateSpec<'_>, own: &Map) -> Result<SyntaxConfig, Error> {
        let key = if spec.sls.is_some() { "jinja_sls_env" } else { "jinja_env" };
        let empty = Map::new();
        let configured = self.context.opts.get(key).and_then(Value::as_map).unwrap_or(&empty);
        let option = |name: &str| own.get(name).or_else(|| configured.get(name));
        let is_on = |name: &str| option(name).is_some_and(Value::is_truthy);
        let legacy = |name: &str| self.context.opts.get(name).is_some_and(Value::is_truthy);
        let text = |name: &str| option(name).and_then(Value::as_str).map(str::to_owned);
        let mut builder = SyntaxConfig::builder();
        builder.trim_blocks(is_on("trim_blocks") || legacy("jinja_trim_blocks"));
        builder.lstrip_blocks(is_on("lstrip_blocks") || legacy("jinja_lstrip_blocks"));
        if let Some(prefix) = text("line_statement_prefix") {
            builder.line_statement_prefix(prefix);
        }
        builder.build()
    }

    /// Takes a `#jinja2: {...}` header out of the text; 3008 knows it.
    fn file_options<'t>(&self, text: &'t str) -> (Cow<'t, str>, Map) {
        let none = (Cow::Borrowed(text), Map::new());
        if self.context.series < crate::Series::V3008 {
            return none;
        }
        let shebang = text.starts_with("#!") && !text.starts_with("#!/");
        let start = if shebang { text.find('\n').map_or(text.len(), |at| at + 1) } else { 0 };
        let Some(header) = text[start..].strip_prefix("#jinja2:") else { return none };
        let (payload, rest) = header.split_once('\n').unwrap_or((header, ""));
        match serde_json::from_str::<Value>(payload) {
            Ok(Value::Map(options)) => (Cow::Owned(format!("{}{rest}", &text[..start])), options),
            Ok(_) | Err(_) => none,
        }
    }
}

/// Salt prints mappings so that YAML reads them back.
fn format_value(out: &mut Output, state: &mut State, value: &Template) -> Result<(), Error> {
    match print::finalized(value) {
        Some(text) => out.write_str(&text).map_err(|_| Error::from(ErrorKind::WriteFailure)),
        None => minijinja::escape_formatter(out, state, value),
    }
}

/// What an SLS or a file template knows of its own place.
fn location(spec: &TemplateSpec<'_>) -> Vec<(&'static str, String)> {
    let dir = spec.path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let mut known = vec![
        ("tplfile", spec.path.to_owned()),
        ("tpldir", if dir.is_empty() { "." } else { dir }.to_owned()),
        ("tplpath", format!("salt://{}", spec.path)),
        ("tpldot", dir.replace('/', ".")),
    ];
    if let Some(sls) = spec.sls {
        known.extend([
            ("sls", sls.to_owned()),
            ("slspath", dir.to_owned()),
            ("slsdotpath", dir.replace('/', ".")),
            ("slscolonpath", dir.replace('/', ":")),
            ("sls_path", dir.replace('/', "_")),
        ]);
    }
    known
}

#[cfg(test)]
mod tests;
