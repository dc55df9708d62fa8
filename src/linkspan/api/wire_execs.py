"""Execs on the wire."""

from linkspan.api.fields import Fields
from linkspan.api.wire_create import check_environment
from linkspan.engine.requests import ExecRequest
from linkspan.errors import InvalidInput
from linkspan.model.container import Exec

Json = dict[str, object]


def parse_exec(body: Fields) -> ExecRequest:
    """Parse POST /containers/{id}/exec; raises InvalidInput."""
    command = body.command("Cmd")
    if not command:
        raise InvalidInput("No exec command specified")
    check_environment(body)
    return ExecRequest(
        cmd=command,
        env=body.texts("Env"),
        working_dir=body.text("WorkingDir"),
        user=body.text("User"),
        tty=body.boolean("Tty"),
        privileged=body.boolean("Privileged"),
        attach_stdin=body.boolean("AttachStdin"),
        attach_stdout=body.boolean("AttachStdout"),
        attach_stderr=body.boolean("AttachStderr"),
        detach_keys=body.text("DetachKeys"),
    )


def exec_details(made: Exec) -> Json:
    """Render GET /exec/{id}/json."""
    process = made.process
    return {
        "ID": made.id,
        "Running": made.running,
        "ExitCode": made.exit_code,
        "ProcessConfig": {
            "tty": process.tty,
            "entrypoint": process.args[0],
            "arguments": list(process.args[1:]),
            "privileged": made.privileged,
            **({"user": process.user} if process.user else {}),
        },
        "OpenStdin": made.attach_stdin,
        "OpenStderr": made.attach_stderr,
        "OpenStdout": made.attach_stdout,
        "CanRemove": made.exit_code is not None,
        "ContainerID": made.container,
        "DetachKeys": made.detach_keys,
        "Pid": made.pid,
    }
