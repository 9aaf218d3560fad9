"""Sandboxes, tools, agents, configuration, models, server, and input that is wrong."""

from tests.parity.recorder import Recorder


async def sandboxes(api: Recorder) -> None:
    kinds = (await api.call("SandboxService/ListSandboxKinds"))["kinds"]
    assert {"local"} <= {kind["kind"] for kind in kinds if kind["availability"] == "ok"}
    box = await api.call("SandboxService/CreateSandbox", kind="local", max_life_s=600)
    act = "SandboxService/ActInSandbox"
    wrote = await api.call(
        act, sandbox_id=box["id"], action="write_file", arguments={"path": "a.txt", "content": "hello"}
    )
    assert wrote["status"] == "ok"
    read = await api.call(act, sandbox_id=box["id"], action="read_file", arguments={"path": "a.txt"})
    assert "hello" in read["output"]
    ran = await api.call(act, sandbox_id=box["id"], action="run_code", arguments={"code": "print(6 * 7)"})
    assert "42" in ran["output"]
    await api.refused(act, "INVALID_REQUEST", "action", sandbox_id=box["id"], action="explode", arguments={})
    await api.refused(
        act, "ACTION_NOT_SUPPORTED", sandbox_id=box["id"], action="click", arguments={"x": 1, "y": 2}
    )
    await api.refused(
        act,
        "SANDBOX_VIOLATION",
        sandbox_id=box["id"],
        action="read_file",
        arguments={"path": "../../etc/passwd"},
    )
    await api.refused("SandboxService/CaptureScreenshot", "ACTION_NOT_SUPPORTED", sandbox_id=box["id"])
    await api.refused("SandboxService/CreateSandbox", "INVALID_REQUEST", "kind", kind="spaceship")
    await api.refused("SandboxService/CreateSandbox", "INVALID_REQUEST", "max_life_s", max_life_s=-1)
    assert (await api.call("SandboxService/GetSandbox", sandbox_id=box["id"]))["state"] == "open"
    listed = await api.driver.call("SandboxService/ListSandboxes", page_size=1)
    api.used.add("SandboxService/ListSandboxes")
    assert listed["sandboxes"][0]["id"] == box["id"]
    await api.call("SandboxService/DeleteSandbox", sandbox_id=box["id"])
    assert (await api.call("SandboxService/GetSandbox", sandbox_id=box["id"]))["state"] == "closed"
    await api.refused(act, "ILLEGAL_STATE", sandbox_id=box["id"], action="list_files", arguments={})
    await api.refused("SandboxService/GetSandbox", "NOT_FOUND", sandbox_id="sandbox_none")


async def tools(api: Recorder) -> None:
    listed = (await api.call("ToolService/ListTools"))["tools"]
    assert {"calculator", "python", "read_file", "write_file"} <= {tool["name"] for tool in listed}
    maths = (await api.call("ToolService/ListTools", category="math", available_only=True))["tools"]
    assert [tool["name"] for tool in maths] == ["calculator"]
    await api.call("ToolService/GetTool", name="calculator")
    ran = await api.call("ToolService/ExecuteTool", name="calculator", arguments={"expression": "6 * 7"})
    assert (ran["ok"], ran["output"]) == (True, "42")
    code = await api.call("ToolService/ExecuteTool", name="python", arguments={"code": "print(2 ** 10)"})
    assert "1024" in code["output"]
    await api.refused(
        "ToolService/ExecuteTool", "INVALID_REQUEST", "arguments.expression", name="calculator", arguments={}
    )
    await api.refused("ToolService/GetTool", "NOT_FOUND", name="no_such_tool")
    await api.refused(
        "ToolService/ExecuteTool", "NOT_CONFIGURED", name="web_search", arguments={"query": "x"}
    )


async def agents(api: Recorder) -> None:
    name = f"helper-{api.driver.name}"
    agent = {
        "description": "d",
        "instructions": "Be brief.",
        "configuration": {"limits": {"max_steps": 3}, "tools": ["calculator"]},
    }
    made = await api.call("AgentDefinitionService/CreateAgent", id=name, agent=agent)
    await api.refused("AgentDefinitionService/CreateAgent", "ALREADY_EXISTS", id=name, agent=agent)
    changed = await api.call(
        "AgentDefinitionService/UpdateAgent",
        agent_id=name,
        agent=agent | {"description": "e"},
        etag=made["etag"],
    )
    assert changed["description"] == "e"
    await api.refused(
        "AgentDefinitionService/UpdateAgent", "STALE_VERSION", agent_id=name, agent=agent, etag=made["etag"]
    )
    task = await api.call(
        "TaskService/SubmitTask", task={"instruction": "What is 3 + 4?", "agent_id": name}, wait="20s"
    )
    assert (task["configuration"]["limits"]["max_steps"], task["configuration"]["tools"]) == (
        3,
        ["calculator"],
    )
    await api.call("AgentDefinitionService/GetAgent", agent_id="default")
    listed = await api.driver.call("AgentDefinitionService/ListAgents", page_size=100)
    api.used.add("AgentDefinitionService/ListAgents")
    assert {"default", "echo", name} <= {one["id"] for one in listed["agents"]}
    await api.refused("AgentDefinitionService/DeleteAgent", "ILLEGAL_STATE", agent_id="default")
    await api.call("AgentDefinitionService/DeleteAgent", agent_id=name)
    await api.refused("AgentDefinitionService/GetAgent", "NOT_FOUND", agent_id=name)
    await api.refused(
        "AgentDefinitionService/CreateAgent", "INVALID_REQUEST", "id", id="Bad Name", agent=agent
    )
    await api.refused(
        "AgentDefinitionService/CreateAgent",
        "INVALID_REQUEST",
        "runtime",
        id="x",
        agent={"runtime": "none"},
    )


async def configuration(api: Recorder) -> None:
    before = await api.driver.call("ConfigurationService/GetConfiguration")
    api.used.add("ConfigurationService/GetConfiguration")
    values = {"model_api_key": "key-that-nobody-sees", "limits": {"max_steps": 77}}
    saved = await api.driver.call(
        "ConfigurationService/UpdateConfiguration", values=values, etag=before["etag"]
    )
    api.used.add("ConfigurationService/UpdateConfiguration")
    assert saved["values"]["model_api_key"] == "********"
    kept = await api.driver.call(
        "ConfigurationService/UpdateConfiguration", values=values | {"model_api_key": "********"}
    )
    assert kept["values"]["model_api_key"] == "********"
    task = await api.call(
        "TaskService/SubmitTask", task={"instruction": "hi", "agent_id": "echo"}, wait="20s"
    )
    assert task["configuration"]["limits"]["max_steps"] == 77
    assert "key-that-nobody-sees" not in str(task) + str(saved) + str(kept)
    await api.refused(
        "ConfigurationService/UpdateConfiguration", "STALE_VERSION", values={}, etag=before["etag"]
    )
    await api.refused(
        "ConfigurationService/UpdateConfiguration",
        "INVALID_REQUEST",
        "values.temperature",
        values={"temperature": 3.5},
    )
    await api.driver.call("ConfigurationService/UpdateConfiguration", values={})


async def models_and_server(api: Recorder) -> None:
    models = await api.call("ModelService/ListModels")
    assert models["default_model"] == "interpreter"
    assert models["models"][0]["deterministic"] is True
    info = await api.driver.call("ServerService/GetServerInfo")
    api.used.add("ServerService/GetServerInfo")
    assert (info["name"], info["storage"], info["draining"]) == ("agent-gateway", api.storage, False)


async def bad_input(api: Recorder) -> None:
    submit = "TaskService/SubmitTask"
    await api.refused(submit, "INVALID_REQUEST", "instruction", task={"instruction": "  "})
    await api.refused(submit, "INVALID_REQUEST", "instruction", task={"instruction": "x" * 100_001})
    await api.refused(submit, "INVALID_REQUEST", "instruction", task={"instruction": "a\u0000b"})
    await api.refused(submit, "NOT_FOUND", task={"instruction": "x", "agent_id": "nobody"})
    await api.refused(submit, "NOT_FOUND", task={"instruction": "x", "session_id": "session_none"})
    limits = {"limits": {"max_steps": 0, "wall_time_s": -1}}
    await api.refused(
        submit,
        "INVALID_REQUEST",
        "configuration.limits.max_steps",
        "configuration.limits.wall_time_s",
        task={"instruction": "x", "configuration": limits},
    )
    await api.refused(
        submit,
        "INVALID_REQUEST",
        "configuration.sandbox_kind",
        task={"instruction": "x", "configuration": {"sandbox_kind": "moon"}},
    )
    await api.refused(
        submit,
        "INVALID_REQUEST",
        "configuration.tools.0",
        task={"instruction": "x", "configuration": {"tools": ["no"]}},
    )
    await api.refused(submit, "INVALID_REQUEST", "wait", task={"instruction": "x"}, wait="601s")
    await api.refused(
        submit, "NOT_CONFIGURED", task={"instruction": "x", "configuration": {"model": "openai:gpt-5"}}
    )
    await api.refused("TaskService/ListTasks", "INVALID_CURSOR", "cursor", cursor="nonsense")
    await api.refused("TaskService/ListTasks", "INVALID_REQUEST", "page_size", page_size=1001)
    await api.refused("TaskService/GetTask", "NOT_FOUND", task_id="task_none")
    await api.refused("ArtifactService/GetArtifact", "NOT_FOUND", digest="sha256:" + "0" * 64)
    await api.refused("ArtifactService/ListArtifacts", "NOT_FOUND", task_id="task_none")
