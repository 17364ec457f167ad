"""The Perfetto trace, read again in Perfetto's own format."""

from collections import defaultdict

from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as proto

from freeonce.evidence.ledger import Type
from freeonce.report.places import Everywhere
from freeonce.report.trace import trace_bytes
from freeonce.subject.places import Frame, Place
from tests.unit.history import History, run
from tests.unit.results import result

PLACE = Place(Frame("f", None, "freeonce", "guest/x.c", 7), ())


def read(data: bytes) -> proto.Trace:
    trace = proto.Trace()
    trace.ParseFromString(data)
    return trace


def by_track(trace: proto.Trace) -> dict[str, list[proto.TracePacket]]:
    """The events by the name of their track."""
    names = {p.track_descriptor.uuid: p.track_descriptor.name for p in trace.packet}
    found = defaultdict(list)
    for packet in trace.packet:
        if packet.HasField("track_event"):
            found[names[packet.track_event.track_uuid]].append(packet)
    return found


def notes(packet: proto.TracePacket) -> dict[str, object]:
    return {
        note.name: getattr(note, note.WhichOneof("value"))
        for note in packet.track_event.debug_annotations
    }


def history() -> History:
    made = run().allocate(1, 0x1000).text(Type.LABEL, "foo", serial=1)
    made.rows[-2]["site"] = 0x40
    return made


def test_a_lifetime_is_a_slice_on_the_guests_clock() -> None:
    done = history().release(1, 0x1000).end().settle()
    records = done.records()
    own = records[records["witness"] == 1]
    places = Everywhere(otherwise={0x40: PLACE})
    begin, end = by_track(read(trace_bytes([result("a", done)], places)))["pool 1"]
    for packet, kind in ((begin, Type.ALLOCATE), (end, Type.RELEASE)):
        assert packet.timestamp == int(own["time"][own["type"] == kind][0])
    assert begin.track_event.name == "foo"
    assert notes(begin)["bytes"] == 64
    assert notes(begin)["allocated at"] == "guest/x.c:7"


def test_each_scenario_is_a_process_with_its_verdict() -> None:
    trace = read(trace_bytes([result("a", history().end().settle())]))
    names = [p.track_descriptor.process.process_name for p in trace.packet]
    assert "a: faulty" in names


def test_lifetimes_that_overlap_do_not_share_a_track() -> None:
    made = run()
    for serial in (1, 2):
        made.allocate(serial, 0x1000 * serial)
    for serial in (1, 2):
        made.release(serial, 0x1000 * serial)
    made.allocate(3, 0x9000).release(3, 0x9000)
    tracks = by_track(read(trace_bytes([result("a", made.end().settle())])))
    assert {name: len(events) for name, events in tracks.items()} == {"pool 1": 4, "pool 2": 2}
    assert [notes(packet).get("serial") for packet in tracks["pool 1"]] == [1, None, 3, None]


def test_what_is_never_released_lasts_to_the_end() -> None:
    done = history().end().settle()
    records = done.records()
    tracks = by_track(read(trace_bytes([result("a", done)])))
    begin, end = tracks["pool 1"]
    assert begin.track_event.name == "foo, never released"
    assert end.timestamp == int(records["time"][records["type"] == Type.END][0])
    (finding,) = tracks["findings"]
    assert finding.track_event.type == proto.TrackEvent.TYPE_INSTANT
    assert finding.track_event.name == "leak"


def test_l2_runs_from_vmrun_to_exit_by_cpu() -> None:
    made = run().add(Type.VMRUN, physical=0x5000, cpu=1).add(Type.VMRUN, physical=0x6000)
    made.add(Type.VMEXIT, detail=0x72, cpu=1).add(Type.VMEXIT, detail=0x81)
    tracks = by_track(read(trace_bytes([result("a", made.end().settle())])))
    assert [packet.track_event.name for packet in tracks["CPU 1"]] == ["CPUID", ""]
    assert [packet.track_event.name for packet in tracks["CPU 0"]] == ["VMMCALL", ""]
    assert notes(tracks["CPU 1"][0])["VMRUN"] == "VMCB 0x5000"


def test_an_entry_without_exit_is_told() -> None:
    made = run().add(Type.VMRUN, physical=0x5000).end()
    tracks = by_track(read(trace_bytes([result("a", made)])))
    assert tracks["CPU 0"][0].track_event.name == "VMRUN that never came back"


def test_slices_of_a_track_begin_and_end_by_turns() -> None:
    made = run()
    for serial in range(1, 30):
        made.allocate(serial, 0x1000 * serial)
        if serial % 3:
            made.release(serial, 0x1000 * serial)
    for events in by_track(read(trace_bytes([result("a", made.end().settle())]))).values():
        kinds = [packet.track_event.type for packet in events]
        slices = [kind for kind in kinds if kind != proto.TrackEvent.TYPE_INSTANT]
        pair = [proto.TrackEvent.TYPE_SLICE_BEGIN, proto.TrackEvent.TYPE_SLICE_END]
        assert slices == pair * (len(slices) // 2)


def test_a_run_without_evidence_is_an_empty_process() -> None:
    assert by_track(read(trace_bytes([result("a", History())]))) == {}
