//! What the `state` module offers, as `sys.doc` and `sys.argspec` show it.

use crate::modules::FunctionSpec;

const RUN_DOC: &str = "test=True shows what would change; pillar={..} lays values over the pillar; queue=True waits for a run in progress, queue=N when fewer than N run or wait.";

pub(super) const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "apply",
        signature: "mods=None, **kwargs",
        doc: "Applies the named SLS files, or the highstate when none is named. test=True shows what would change.",
    },
    FunctionSpec {
        name: "check_request",
        signature: "name=None",
        doc: "Shows the state runs that were requested, with their predictions.",
    },
    FunctionSpec { name: "clear_request", signature: "name=None", doc: "Forgets requested state runs." },
    FunctionSpec {
        name: "high",
        signature: "data, test=None, queue=None, **kwargs",
        doc: "Runs high data given as a mapping.",
    },
    FunctionSpec {
        name: "highstate",
        signature: "test=None, queue=None, state_events=None, **kwargs",
        doc: "Applies what the top file assigns to this minion. test=True shows what would change.",
    },
    FunctionSpec {
        name: "id_exists",
        signature: "ids, mods, test=None, queue=None, **kwargs",
        doc: "Tells whether state IDs exist in SLS files.",
    },
    FunctionSpec {
        name: "low",
        signature: "data, queue=None, **kwargs",
        doc: "Runs one low chunk given as a mapping with state, fun and name.",
    },
    FunctionSpec {
        name: "request",
        signature: "mods=None, **kwargs",
        doc: "Predicts a run and keeps it, for state.run_request to run.",
    },
    FunctionSpec {
        name: "run_request",
        signature: "name='default', **kwargs",
        doc: "Runs what state.request kept.",
    },
    FunctionSpec { name: "running", signature: "concurrent=False", doc: "Lists the state run in progress." },
    FunctionSpec {
        name: "show_highstate",
        signature: "queue=None, **kwargs",
        doc: "Shows the high data of the highstate.",
    },
    FunctionSpec {
        name: "show_low_sls",
        signature: "mods, test=None, queue=None, **kwargs",
        doc: "Shows the low data of SLS files.",
    },
    FunctionSpec {
        name: "show_lowstate",
        signature: "queue=None, **kwargs",
        doc: "Shows the low data of the highstate.",
    },
    FunctionSpec {
        name: "show_sls",
        signature: "mods, test=None, queue=None, **kwargs",
        doc: "Shows the high data of SLS files.",
    },
    FunctionSpec {
        name: "show_states",
        signature: "queue=None, **kwargs",
        doc: "Lists the SLS files of the highstate.",
    },
    FunctionSpec {
        name: "show_top",
        signature: "queue=None, **kwargs",
        doc: "Shows what the top file assigns to this minion.",
    },
    FunctionSpec {
        name: "single",
        signature: "fun, name, test=None, queue=None, **kwargs",
        doc: "Runs one state function.",
    },
    FunctionSpec {
        name: "sls",
        signature: "mods, test=None, exclude=None, queue=None, sync_mods=None, state_events=None, **kwargs",
        doc: RUN_DOC,
    },
    FunctionSpec {
        name: "sls_exists",
        signature: "mods, test=None, queue=None, **kwargs",
        doc: "Tells whether SLS files exist and render.",
    },
    FunctionSpec {
        name: "sls_id",
        signature: "id_, mods, test=None, queue=None, state_events=None, **kwargs",
        doc: "Runs the states of one ID of SLS files, with what they require.",
    },
    FunctionSpec {
        name: "soft_kill",
        signature: "jid, state_id=None",
        doc: "Ends a state run before its next state, or before that of an ID.",
    },
    FunctionSpec {
        name: "template",
        signature: "tem, queue=None, **kwargs",
        doc: "Runs an SLS file of this machine, given by its path.",
    },
    FunctionSpec {
        name: "template_str",
        signature: "tem, queue=None, **kwargs",
        doc: "Runs an SLS given as text.",
    },
    FunctionSpec { name: "test", signature: "mods=None, **kwargs", doc: "Like state.apply with test=True." },
];
