"""The think-act loop: ask the model, carry out its calls, until it answers.

Each turn is committed twice: the model's answer before its calls are carried out, their results
together with the start of the next turn. So after a crash an answer is never asked for again, and
a call that may have been cut short is carried out again under the same call id.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from pydantic_ai.messages import InstructionPart, ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models import ModelRequestParameters

from app.agents.base import Finished, NeedsInput, Outcome, Parked, Run
from app.agents.calls import Caller, Returned, called, results_message, shortened
from app.agents.estimates import Estimator
from app.agents.images import Gallery
from app.agents.ports import ModelObserver, Tools
from app.agents.prompt import system_prompt
from app.agents.questions import sort_calls
from app.agents.reporting import Reporter, reporting
from app.agents.streaming import ask, calls_of, final_text, text_of, with_own_ids
from app.agents.toolset import Offer, Toolset
from app.agents.transcript import unanswered
from app.agents.turns import Turns
from app.agents.usage import CallUsage, usage_of
from app.domain.errors import DomainError
from app.domain.events import MAX_EVENT_TEXT_CHARS, ModelResponded, TurnStarted
from app.domain.run_errors import ModelAnswerError, StepLimitError
from app.domain.tasks import InputAnswer, InputRequest, TaskResult
from app.models.base import ModelSource, ModelSpec, ResolvedModel
from app.telemetry import names, spans
from app.telemetry.outcomes import timed
from app.telemetry.tracing import Span, Tracing

MAX_CALLS = 128
"""Calls in one turn: more is a broken model, or one that means harm."""
MAX_WASTED_TURNS = 8
"""Turns in a row of which every call was wrong: then the model does not find its way any more."""


class LoopRuntime:
    """Makes `AgentRuntime` of a model and tools."""

    def __init__(
        self,
        models: ModelSource,
        tools: Tools,
        *,
        tracing: Tracing,
        default_model: str = "interpreter",
        default_sandbox: str = "local",
        observer: ModelObserver | None = None,
    ) -> None:
        """The defaults are for tasks whose configuration names no model or no sandbox kind."""
        self._models = models
        self._tools = tools
        self._offer = Offer(tools)
        self._tracing = tracing
        self._default_model = default_model
        self._default_sandbox = default_sandbox
        self._observer = observer

    async def run(self, run: Run) -> Outcome:
        """Carry the task out, from its last checkpoint on; see `AgentRuntime.run`."""
        spec = self._spec_of(run)
        plan = spans.invoke_agent(
            run.task.spec.agent.id,
            provider=spec.provider,
            model=spec.reference,
            agent_id=run.task.spec.agent.id,
            session_id=run.task.spec.session_id,
            task_id=run.task.id,
        )
        with self._tracing.span(plan):
            async with reporting(run) as reporter:
                return await self._carried_out(run, spec, reporter)

    async def _carried_out(self, run: Run, spec: ModelSpec, reporter: Reporter) -> Outcome:
        turns = Turns(run, reporter)
        resolved = await self._models.resolve(spec, on_retry=turns.retried)
        configuration = run.task.spec.configuration
        toolset = self._offer.toolset(configuration.tools)
        mind = _Mind(
            run=run,
            models=self._models,
            turns=turns,
            reporter=reporter,
            resolved=resolved,
            toolset=toolset,
            caller=Caller(run, reporter, self._tools, toolset, tracing=self._tracing),
            tracing=self._tracing,
            observer=self._observer,
            instructions=system_prompt(
                run.task.spec.agent,
                toolset.infos,
                sandbox_kind=configuration.sandbox_kind or self._default_sandbox,
            ),
        )
        return await mind.carry_out()

    def _spec_of(self, run: Run) -> ModelSpec:
        configuration = run.task.spec.configuration
        return self._models.spec_of(
            configuration.model or self._default_model,
            base_url=configuration.model_base_url,
            api_key=run.api_key,
            temperature=configuration.temperature,
            max_output_tokens=configuration.max_output_tokens,
        )


class _Mind:
    """One run of the loop."""

    def __init__(
        self,
        *,
        run: Run,
        models: ModelSource,
        turns: Turns,
        reporter: Reporter,
        resolved: ResolvedModel,
        toolset: Toolset,
        caller: Caller,
        tracing: Tracing,
        observer: ModelObserver | None,
        instructions: str,
    ) -> None:
        self._run = run
        self._models = models
        self._turns = turns
        self._reporter = reporter
        self._resolved = resolved
        self._toolset = toolset
        self._caller = caller
        self._tracing = tracing
        self._observer = observer
        self._gallery = Gallery(run.read_artifact)
        self._wasted = 0
        self._parameters = ModelRequestParameters(
            function_tools=toolset.definitions,
            instruction_parts=[InstructionPart(content=instructions)],
        )
        self._estimator = Estimator(models, resolved, self._parameters)

    async def carry_out(self) -> Outcome:
        """Turn after turn, from wherever the task stands."""
        turns = self._turns
        await turns.restore()
        try:
            if open_calls := unanswered(turns.messages):
                # Journaled before the crash, or before a person was asked: not again.
                requests = await self._act(open_calls, answers=self._run.answers)
                if requests:
                    return await self._needs_input(requests)
            return await self._turn_after_turn()
        except DomainError:
            # The last words belong into the transcript of a failed task, too.
            with suppress(DomainError):
                await turns.store(turns.number)
            raise

    async def _turn_after_turn(self) -> Outcome:
        turns = self._turns
        while True:
            if self._run.stopping:
                if turns.number:
                    await turns.store(turns.number)
                return Parked(statistics=self._run.statistics)
            response = await self._think()
            calls = calls_of(response)
            if not calls:
                text = final_text(response, self._resolved.spec.reference)
                return Finished(
                    result=TaskResult(output=text),
                    statistics=self._run.statistics,
                    messages=turns.unstored(),
                    events=await self._reporter.rest(),
                )
            self._check_steps()
            if len(calls) > MAX_CALLS:
                reference = self._resolved.spec.reference
                raise ModelAnswerError(f"{reference} made {len(calls)} calls at once", model=reference)
            self._reporter.note(*(called(call, turns.number) for call in calls))
            await turns.store(turns.number)
            if requests := await self._act(calls):
                return await self._needs_input(requests)

    async def _think(self) -> ModelResponse:
        """One turn's answer, journaled, counted and added to the conversation."""
        turns, resolved = self._turns, self._resolved
        before = turns.number
        turns.number += 1
        self._reporter.note(TurnStarted(turn=turns.number, model=resolved.spec.reference))
        if before:
            await turns.store(before)
        plan = spans.chat(
            resolved.spec.name or resolved.spec.provider,
            provider=resolved.spec.provider,
            stream=True,
            session_id=self._run.task.spec.session_id,
        )
        with self._tracing.span(plan) as span:
            seen = await self._gallery.shown(turns.messages)
            resolved = await self._reserved(resolved, seen)
            response, used = await self._asked(resolved, seen)
            response = with_own_ids(response, turns.ids, turns.number)
            _describe(span, response, used)
        turns.add(response)
        calls = len(calls_of(response))
        self._reporter.note(
            ModelResponded(
                turn=turns.number,
                text=shortened(text_of(response), MAX_EVENT_TEXT_CHARS),
                tool_calls=calls,
                input_tokens=used.input_tokens,
                output_tokens=used.output_tokens,
                cost_usd=used.cost_usd,
            )
        )
        await self._run.count(
            turns=1,
            tool_calls=calls,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cost_usd=used.cost_usd,
        )
        await self._run.settle()
        return response

    async def _asked(
        self, resolved: ResolvedModel, seen: list[ModelMessage]
    ) -> tuple[ModelResponse, CallUsage]:
        """The model's answer and what it used, told to the observer."""
        used = CallUsage()

        def tell(outcome: str, duration_s: float) -> None:
            if self._observer is not None:
                self._observer.model_called(
                    resolved.spec.provider,
                    resolved.spec.name or resolved.spec.provider,
                    outcome=outcome,
                    duration_s=duration_s,
                    input_tokens=used.input_tokens,
                    output_tokens=used.output_tokens,
                    cost_usd=used.cost_usd,
                )

        with timed(tell):
            response = await ask(self._models, resolved, seen, self._parameters, hear=self._hear)
            used = usage_of(self._models, resolved, response.usage)
        return response, used

    async def _reserved(self, resolved: ResolvedModel, seen: Sequence[ModelMessage]) -> ResolvedModel:
        """Hold what the call can use at most, where a budget counts; then its answer has a bound.

        Raises BudgetExceededError.
        """
        allowance = self._run.output_allowance
        if allowance is None or resolved.planner == "deterministic":
            return resolved
        bound = resolved.settings.get("max_tokens") or allowance
        most = self._estimator.most(seen, max_output_tokens=bound)
        await self._run.reserve(tokens=most.input_tokens + most.output_tokens, cost_usd=most.cost_usd)
        return replace(resolved, settings={**resolved.settings, "max_tokens": bound})

    async def _act(
        self, calls: Sequence[ToolCallPart], *, answers: Sequence[InputAnswer] = ()
    ) -> tuple[InputRequest, ...]:
        """Carry out the calls and add their results; returns what a person must say first."""
        turn = self._turns.number
        todo = sort_calls(calls, self._toolset, answers)
        returned = [
            self._caller.told(one.call, turn, one.result, denied=one.denied, usable=one.usable)
            for one in todo.settled
        ]
        if todo.run:
            returned += await self._caller.carry_out(todo.run, turn)
        if returned:
            order = {call.tool_call_id: place for place, call in enumerate(calls)}
            returned.sort(key=lambda one: order[one.part.tool_call_id])
            self._turns.add(results_message(returned))
            self._note_waste(returned)
        return tuple(todo.asked)

    async def _hear(self, text: str) -> None:
        await self._reporter.say(self._turns.number, text)

    async def _needs_input(self, requests: tuple[InputRequest, ...]) -> NeedsInput:
        return NeedsInput(
            requests=requests,
            statistics=self._run.statistics,
            turn=self._turns.number,
            messages=self._turns.unstored(),
            events=await self._reporter.rest(),
        )

    def _check_steps(self) -> None:
        """A turn that calls tools is a step of the loop: there are at most as many as steps."""
        limit = self._run.task.spec.configuration.limits.max_steps
        if limit is not None and self._turns.number > limit:
            raise StepLimitError(f"the task used its {limit} steps", limit=limit)

    def _note_waste(self, returned: Sequence[Returned]) -> None:
        self._wasted = 0 if any(one.usable for one in returned) else self._wasted + 1
        if self._wasted >= MAX_WASTED_TURNS:
            reference = self._resolved.spec.reference
            raise ModelAnswerError(
                f"{reference} called tools wrongly in {self._wasted} turns in a row", model=reference
            )


def _describe(span: Span, response: ModelResponse, used: CallUsage) -> None:
    if not span.is_recording:
        return
    facts: dict[str, str | int | float | list[str]] = {
        names.GEN_AI_USAGE_INPUT_TOKENS: used.input_tokens,
        names.GEN_AI_USAGE_OUTPUT_TOKENS: used.output_tokens,
    }
    if response.model_name:
        facts[names.GEN_AI_RESPONSE_MODEL] = response.model_name
    if response.provider_response_id:
        facts[names.GEN_AI_RESPONSE_ID] = response.provider_response_id
    if response.finish_reason:
        facts[names.GEN_AI_RESPONSE_FINISH_REASONS] = [response.finish_reason]
    if used.cost_usd is not None:
        facts[names.COST_USD] = used.cost_usd
    span.set(facts)
