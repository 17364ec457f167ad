"""`run --trace`: the run for ui.perfetto.dev: lifetimes, L2 by CPU, findings. Pure.

A process for each scenario, on the guest's own clock. Slices of one track must nest, which
lifetimes do not: so those that overlap lie on several tracks of their kind.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as proto
from perfetto.trace_builder.proto_builder import TraceProtoBuilder

from freeonce.audit.result import Result
from freeonce.report.lifetimes import Bar, Mark, Picture, picture
from freeonce.report.places import NOWHERE, Everywhere, Places

SEQUENCE = 1

Notes = dict[str, int | str]


@dataclass(frozen=True)
class Slice:
    """Something on a track, from `start` to `end` ns; an instant where `end` is None."""

    track: str
    name: str
    start: int
    end: int | None
    notes: Notes


def trace_bytes(
    results: Sequence[Result], places: Everywhere = NOWHERE, broken_off: str = ""
) -> bytes:
    """The trace in Perfetto's own format. `places`: of its calls.

    `broken_off`: how far the run came, which a process of its own tells.
    """
    builder = _Builder()
    begins = []
    for number, result in enumerate(results, start=1):
        evidence = result.evidence
        drawn = picture(evidence.records, result.judgement, run=evidence.run)
        name = f"{result.scenario.name}: {result.judgement.verdict}"
        begins.append(drawn.begin)
        builder.add(number, name, drawn.begin, slices(drawn, places.of(result)))
    if broken_off:
        told = [Slice("run", broken_off, 0, None, {})]
        builder.add(len(results) + 1, broken_off, min(begins, default=0), told)
    return builder.serialize()


def slices(drawn: Picture, places: Places) -> list[Slice]:
    """What one scenario puts on its tracks."""
    found = [*_lifetimes(drawn, places), *_entries(drawn)]
    for mark in drawn.marks:
        if mark.what == "step":
            found.append(Slice("steps", mark.text, mark.time, None, {}))
        elif mark.what not in ("vmrun", "vmexit"):
            notes: Notes = {"serial": mark.serial, "detail": mark.text}
            found.append(Slice("findings", mark.what, mark.time, None, notes))
    return found


def _lifetimes(drawn: Picture, places: Places) -> Iterator[Slice]:
    for bar, lane in _lanes(drawn.bars, drawn.span):
        end = drawn.span if bar.end is None else max(bar.end, bar.start)
        name = bar.name or f"allocation {bar.serial}"
        state = "" if bar.end is not None else ", never released"
        track = f"{bar.kind} {lane}"
        yield Slice(track, f"{name}{state}", bar.start, end, _notes(bar, places))


def _notes(bar: Bar, places: Places) -> Notes:
    notes: Notes = {
        "serial": bar.serial,
        "bytes": bar.size,
        "gva": f"{bar.pointer:#x}",
        "gpa": f"{bar.physical:#x}",
        "allocated at": str(places.get(bar.site, "")),
        "released at": str(places.get(bar.release_site or 0, "")),
        "violates": ", ".join(bar.rules),
    }
    return {name: value for name, value in notes.items() if value != ""}


def _lanes(bars: Sequence[Bar], span: int) -> Iterator[tuple[Bar, int]]:
    """Each bar with the lowest track of its kind that is free, from 1."""
    free: dict[str, list[int]] = {}
    busy: dict[str, list[tuple[int, int]]] = {}
    for bar in sorted(bars, key=lambda one: (one.start, one.serial)):
        lanes, ends = free.setdefault(bar.kind, []), busy.setdefault(bar.kind, [])
        while ends and ends[0][0] <= bar.start:
            heapq.heappush(lanes, heapq.heappop(ends)[1])
        lane = heapq.heappop(lanes) if lanes else len(ends) + 1
        heapq.heappush(ends, (span if bar.end is None else max(bar.end, bar.start), lane))
        yield bar, lane


def _entries(drawn: Picture) -> Iterator[Slice]:
    """L2 from VMRUN to the next #VMEXIT of that CPU; to the end where none came."""
    inside: dict[int, Mark] = {}
    for mark in sorted(drawn.marks, key=lambda one: one.sequence):
        if mark.what == "vmrun":
            inside[mark.cpu] = mark
        elif mark.what == "vmexit" and (entry := inside.pop(mark.cpu, None)):
            name, notes = mark.text.split(",")[0], {"VMRUN": entry.text, "#VMEXIT": mark.text}
            yield Slice(f"CPU {mark.cpu}", name, entry.time, max(mark.time, entry.time), {**notes})
    for cpu, entry in inside.items():
        name = "VMRUN that never came back"
        yield Slice(f"CPU {cpu}", name, entry.time, drawn.span, {"VMRUN": entry.text})


class _Builder:
    """Tracks and events in Perfetto's words."""

    def __init__(self) -> None:
        self._trace = TraceProtoBuilder()
        self._uuid = 0

    def serialize(self) -> bytes:
        return bytes(self._trace.serialize())

    def add(self, number: int, name: str, begin: int, found: Sequence[Slice]) -> None:
        process = self._next()
        descriptor = self._packet(0).track_descriptor
        descriptor.uuid = process
        descriptor.process.pid = number
        descriptor.process.process_name = name
        tracks: dict[str, int] = {}
        for one in found:
            if one.track not in tracks:
                tracks[one.track] = self._track(one.track, process)
            self._slice(one, tracks[one.track], begin)

    def _next(self) -> int:
        self._uuid += 1
        return self._uuid

    def _track(self, name: str, parent: int) -> int:
        descriptor = self._packet(0).track_descriptor
        descriptor.uuid = uuid = self._next()
        descriptor.parent_uuid = parent
        descriptor.name = name
        return uuid

    def _slice(self, one: Slice, track: int, begin: int) -> None:
        instant = one.end is None
        event = self._event(begin + one.start, track)
        event.type = event.TYPE_INSTANT if instant else event.TYPE_SLICE_BEGIN
        event.name = one.name
        for name, value in one.notes.items():
            note = event.debug_annotations.add()
            note.name = name
            if isinstance(value, int):
                note.uint_value = value
            else:
                note.string_value = value
        if one.end is not None:
            event = self._event(begin + one.end, track)
            event.type = event.TYPE_SLICE_END

    def _event(self, time: int, track: int) -> proto.TrackEvent:
        event = self._packet(time).track_event
        event.track_uuid = track
        return event

    def _packet(self, time: int) -> proto.TracePacket:
        packet = self._trace.add_packet()
        packet.timestamp = time
        packet.trusted_packet_sequence_id = SEQUENCE
        return packet
