//! From a request to an ordered low state: top file, SLS files with their includes, high data, extend and
//! requisites in both directions, low chunks, order.
//!
//! Follows Salt's own sequence (`doc/ref/states/layers.rst`), so that what is refused is refused in Salt's words,
//! as the list of texts that `state.apply` returns. Nothing here knows files or modules but through `Sources`.

use crate::{Jinja, LowState, Map, RenderContext, Request, Sources, Value};

mod extend;
mod fnmatch;
mod include;
mod low;
mod order;
mod top;
mod verify;

pub use fnmatch::fnmatch;
pub(crate) use low::BAD_NAME;
#[cfg(test)]
pub(crate) use order::alone;

/// Compiles a request into a low state. An error is the list of texts Salt returns.
pub fn compile(
    request: &Request,
    sources: &Sources,
    context: &RenderContext,
) -> Result<LowState, Vec<String>> {
    Compiler::new(sources, context).low(request)
}

/// Compiles one request, or shows the steps on the way: `show_top`, `show_sls`, `show_highstate`.
pub struct Compiler<'a> {
    sources: &'a Sources,
    context: &'a RenderContext,
    jinja: Jinja,
}

/// High data, before extend and requisites: what `state.show_highstate` shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HighState {
    /// IDs with their states; `__extend__` and `__exclude__` where there are any.
    pub high: Map,
    /// Every SLS that was rendered, also those without states.
    pub rendered: Vec<String>,
    /// Why there is nothing, when a highstate found no SLS for this minion.
    pub nothing: Option<String>,
}

impl<'a> Compiler<'a> {
    /// Prepares a compilation.
    pub fn new(sources: &'a Sources, context: &'a RenderContext) -> Compiler<'a> {
        Compiler { sources, context, jinja: Jinja::new(sources, context) }
    }

    /// The low state of a request.
    pub fn low(&self, request: &Request) -> Result<LowState, Vec<String>> {
        if let Request::Single { fun, name, kwargs } = request {
            return low::single(fun, name, kwargs, self.sources.states.as_ref());
        }
        let state = self.high(request)?;
        if state.nothing.is_some() {
            return Ok(LowState { nothing: state.nothing, ..LowState::default() });
        }
        self.finish(state)
    }

    /// Everything from high data on.
    fn finish(&self, state: HighState) -> Result<LowState, Vec<String>> {
        let mut high = state.high;
        let mut errors = extend::reconcile(&mut high, extend::Strictness::Loose);
        errors.extend(verify::verify(&high, self.context.series));
        if !errors.is_empty() {
            return Err(errors);
        }
        errors.extend(extend::requisites_in(&mut high, &self.disabled_requisites()));
        extend::exclude(&mut high);
        if !errors.is_empty() {
            return Err(errors);
        }
        self.ordered(&high, &state.rendered)
    }

    /// The chunks of high data in the order of the run, without what the minion has disabled.
    fn ordered(&self, high: &Map, rendered: &[String]) -> Result<LowState, Vec<String>> {
        let mut drafts = low::chunks(high);
        let ignored = self.disabled_requisites();
        for draft in &mut drafts {
            draft
                .chunk
                .requisites
                .retain(|requisite| !ignored.iter().any(|kind| kind == requisite.kind.name()));
        }
        let patterns =
            self.context.grains.get("state_runs_disabled").and_then(Value::as_list).unwrap_or_default();
        let mut disabled = Vec::new();
        drafts.retain(|draft| {
            let pattern = patterns.iter().map(ToString::to_string);
            let found = pattern.into_iter().find(|pattern| fnmatch(&draft.chunk.full_name(), pattern));
            found.map(|pattern| disabled.push((draft.chunk.clone(), pattern))).is_none()
        });
        let mut low = order::order(drafts, rendered, self.sources.states.as_ref(), self.context.series)?;
        low.disabled = disabled;
        Ok(low)
    }

    /// The minion's option `disabled_requisites`: one or a list.
    fn disabled_requisites(&self) -> Vec<String> {
        match self.context.opts.get("disabled_requisites") {
            None | Some(Value::Nil) => Vec::new(),
            Some(Value::List(several)) => several.iter().map(ToString::to_string).collect(),
            Some(one) => vec![one.to_string()],
        }
    }

    /// The high data of a request, before extend and requisites.
    pub fn high(&self, request: &Request) -> Result<HighState, Vec<String>> {
        match request {
            Request::Highstate { exclude } => {
                let matches = match self.matches()? {
                    Ok(matches) => matches,
                    Err(nothing) => return Ok(HighState { nothing: Some(nothing), ..HighState::default() }),
                };
                let mut state = self.render(&matches)?;
                add_exclude(&mut state.high, exclude);
                if state.high.is_empty() {
                    state.nothing = Some("No states found for this minion".to_owned());
                }
                Ok(state)
            }
            Request::Sls { mods, exclude } => {
                let saltenv = self.context.saltenv.as_deref().unwrap_or("base");
                let mut state = self.render(&[(saltenv.to_owned(), mods.clone())])?;
                add_exclude(&mut state.high, exclude);
                Ok(state)
            }
            Request::High(high) => {
                let mut high = high.clone();
                verify::pad_functions(&mut high);
                Ok(HighState { high, ..HighState::default() })
            }
            Request::Template(text) => self.template(text),
            Request::Single { kwargs, .. } => Ok(HighState { high: kwargs.clone(), ..HighState::default() }),
        }
    }

    /// What the top file assigns to this minion, by saltenv: `state.show_top`.
    pub fn top(&self) -> Result<Map, Vec<String>> {
        match self.matches()? {
            Ok(matches) => Ok(matches
                .into_iter()
                .map(|(env, mods)| (env, Value::List(mods.into_iter().map(Value::from).collect())))
                .collect()),
            Err(_) => Ok(Map::new()),
        }
    }

    /// The high data of SLS files when its form is right as well: what `state.show_sls` shows.
    pub fn show_sls(&self, mods: &[String]) -> Result<HighState, Vec<String>> {
        let saltenv = self.context.saltenv.as_deref().unwrap_or("base");
        let matches = [(saltenv.to_owned(), mods.to_vec())];
        let (state, mut errors) =
            include::Renderer::new(self.sources, self.context, &self.jinja, &matches).render()?;
        errors.extend(verify::verify(&state.high, self.context.series));
        if errors.is_empty() { Ok(state) } else { Err(errors) }
    }

    /// The chunks of SLS files as they were declared, in their order: what `state.show_low_sls` shows. Neither extend nor
    /// exclude, use or the requisites from the other side were applied.
    pub fn show_low_sls(&self, mods: &[String]) -> Result<LowState, Vec<String>> {
        let state = self.show_sls(mods)?;
        self.ordered(&state.high, &state.rendered)
    }

    fn render(&self, matches: &[(String, Vec<String>)]) -> Result<HighState, Vec<String>> {
        let (state, errors) =
            include::Renderer::new(self.sources, self.context, &self.jinja, matches).render()?;
        if errors.is_empty() { Ok(state) } else { Err(errors) }
    }

    /// The matches, or why there are none.
    fn matches(&self) -> Result<Result<top::Matches, String>, Vec<String>> {
        top::Top::new(self.sources, self.context, &self.jinja).matches()
    }

    fn template(&self, text: &str) -> Result<HighState, Vec<String>> {
        let file = crate::SlsFile { saltenv: "base", sls: "", path: "template", bytes: text.as_bytes() };
        let data = crate::render_sls(&self.jinja, &file, renderer(self.context))
            .map_err(|error| vec![error.to_string()])?;
        let Value::Map(mut high) = data else {
            return Err(vec!["Template does not render to a dictionary".to_owned()]);
        };
        verify::pad_functions(&mut high);
        if orders_by_itself(self.context) {
            include::auto_order(&mut high, &mut FIRST_ORDER.clone());
        }
        Ok(HighState { high, ..HighState::default() })
    }
}

/// The minion's option `state_auto_order`: whether states run in the order they were written in.
fn orders_by_itself(context: &RenderContext) -> bool {
    context.opts.get("state_auto_order").is_none_or(Value::is_truthy)
}

fn renderer(context: &RenderContext) -> &str {
    context.opts.get("renderer").and_then(Value::as_str).unwrap_or("jinja|yaml")
}

fn add_exclude(high: &mut Map, exclude: &[Value]) {
    if exclude.is_empty() {
        return;
    }
    if let Value::List(list) = high.entry_or_insert("__exclude__", Value::List(Vec::new())) {
        list.extend(exclude.iter().cloned());
    }
}

/// What Salt starts counting declarations from.
const FIRST_ORDER: i64 = 10_000;

#[cfg(test)]
mod tests;
