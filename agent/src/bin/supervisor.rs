//! The supervisor: see `agent::release::supervise`.

fn main() -> std::process::ExitCode {
    agent::platform::service::supervisor_main()
}
