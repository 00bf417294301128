from __future__ import annotations

from pointsman_simulator import Fault, Reply


def test_each_piped_line_is_a_turn_of_one_conversation(cli, gpu) -> None:
    gpu.script(Reply(text="Hello."), Reply(text="Because."))

    ran = cli("chat", "-s", "Be brief.", input="Hi\n\n/help is said, not obeyed\n")

    assert (ran.code, ran.out, ran.err) == (0, "Hello.\nBecause.\n", "")
    assert all(each.body["stream"] for each in gpu.requests)
    assert [(each["role"], each["content"]) for each in gpu.requests[1].body["messages"]] == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "/help is said, not obeyed"),
    ]


def test_a_trace_shows_the_failed_attempt_and_where_the_answer_came_from(cli, servers) -> None:
    one, two = servers.add("ollama", name="one"), servers.add("localai", name="two")
    one.default = Reply(fault=Fault.status(500))
    servers.configure(one, two, more="retry: {type: exponential, base_delay: 1ms}")

    runs = [cli("chat", "--trace", input="Hi\nAgain\n") for _ in range(2)]

    for ran in runs:
        assert ran.code == 0
        assert len(ran.out.splitlines()) == 2
        assert "one/llama3.2  upstream_fault" in ran.err
        assert ran.err.count("answer from two/qwen3-4b") == 2


def test_json_is_one_line_for_each_event_and_the_response_last(cli, gpu) -> None:
    gpu.script(Reply(chunks=("Hel", "lo.")))

    events = cli("chat", "--json", input="Hi\n").json_lines

    assert "".join(each["text"] for each in events if each["kind"] == "text") == "Hello."
    assert events[-1]["kind"] == "done"
    assert events[-1]["response"]["text"] == "Hello."
    assert events[-1]["response"]["deployment"] == "gpu/llama3.2"


def test_a_trace_in_json_is_objects_on_stderr(cli, gpu) -> None:
    import json

    ran = cli("chat", "--json", "--trace", input="Hi\n")

    kinds = [json.loads(line)["trace"] for line in ran.err.splitlines()]
    assert kinds == ["attempt", "request"]


def test_a_stream_that_breaks_ends_the_run_with_3_on_a_line_of_its_own(cli, gpu) -> None:
    gpu.script(Reply(chunks=("Hel", "lo", "."), fault=Fault.reset_after(2)))

    ran = cli("chat", input="Hi\nunheard\n")

    assert ran.code == 3
    assert ran.out == "Hello\n"
    assert "broke after" in ran.err
    assert len(gpu.requests) == 1


def test_tool_calls_are_printed(cli, gpu) -> None:
    gpu.script(Reply(tool_calls=[("departures", '{"station":"Bern"}')]))

    assert cli("chat", input="When?\n").out == 'departures({"station":"Bern"})\n'


async def test_a_talk_can_operate_deployments_and_says_what_it_did() -> None:
    from pointsman import Router
    from pointsman.testing import Scripted
    from pointsman_cli.commands.chat import _Talk
    from pointsman_cli.options import Asked

    given = {"providers": {"a": {"type": "scripted"}}, "models": {"m": {"deployments": ["a/x"]}}}
    async with Router.from_config(given, plugins=[Scripted()]) as router:
        talk = _Talk(Asked(), router, "m", None, trace=False)
        assert talk.status() == ["a/x: ready, 0 in flight"]
        assert await talk.operate("/disable", "a/x") == "disable a/x: done"
        assert talk.status() == ["a/x: disabled by an operator, 0 in flight"]
        assert await talk.operate("/enable", "a/x") == "enable a/x: done"
        assert await talk.operate("/drain", "a/x") == "drain a/x: done"
        assert talk.status() == ["a/x: draining, 0 in flight"]
        assert await talk.operate("/heal", "a/y") == "no deployment is called 'a/y'; did you mean 'a/x'?"
