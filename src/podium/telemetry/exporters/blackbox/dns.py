"""The DNS prober: one question to the target, over UDP, TCP or TLS, and checks of the answer's records.

Bounds: an answer has at most 65,535 bytes. A datagram that does not belong to the question is ignored.

Source: blackbox_exporter prober/dns.go; RFC 1035, RFC 7858.
"""

import asyncio
import ssl
import struct
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from podium.telemetry.exporters.blackbox.modules import DnsModule, RecordChecks
from podium.telemetry.exporters.blackbox.probing import Address, Failed, Run, connect, resolve, show_tls, split_target, tls_context

PORT, TLS_PORT = 53, 853
_DURATION, _DURATION_TEXT = "probe_dns_duration_seconds", "How long a phase of the question took."


async def probe(module: DnsModule, run: Run) -> bool:
    host, port = split_target(run.target, TLS_PORT if module.use_tls else PORT)
    for phase in ("resolve", "connect", "request"):
        run.phase(_DURATION, _DURATION_TEXT, phase, 0.0)
    run.gauge("probe_dns_query_succeeded", "Whether the question was answered.", 0)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    address = await resolve(host, module.reach, run)
    run.phase(_DURATION, _DURATION_TEXT, "resolve", loop.time() - began_s)
    try:
        question = dns.message.make_query(module.name, module.type, module.record_class)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise Failed(f"{module.name!r} cannot be asked for: {error}") from error
    if not module.recursion_desired:
        question.flags &= ~dns.flags.RD
    ask = _over_udp if module.transport == "udp" else _over_tcp
    answer = await ask(module, run, address, host, port, question)
    return _judge(module, run, answer)


async def _over_udp(module: DnsModule, run: Run, address: Address, host: str, port: int, question: Any) -> Any:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    reply: asyncio.Future[Any] = loop.create_future()
    local = (module.reach.source, 0) if module.reach.source else None
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Question(question, reply), remote_addr=(address.ip, port), local_addr=local, family=address.socket_family
    )
    run.phase(_DURATION, _DURATION_TEXT, "connect", loop.time() - began_s)
    began_s = loop.time()
    try:
        transport.sendto(question.to_wire())
        return await reply
    finally:
        transport.close()
        run.phase(_DURATION, _DURATION_TEXT, "request", loop.time() - began_s)


class _Question(asyncio.DatagramProtocol):
    def __init__(self, question: Any, reply: "asyncio.Future[Any]") -> None:
        self._question = question
        self._reply = reply

    def datagram_received(self, data: bytes, addr: object) -> None:
        try:
            answer = _parsed(data)
        except Failed:
            return
        if answer.id == self._question.id and not self._reply.done():
            self._reply.set_result(answer)

    def error_received(self, exc: Exception) -> None:
        if not self._reply.done():
            self._reply.set_exception(exc)


async def _over_tcp(module: DnsModule, run: Run, address: Address, host: str, port: int, question: Any) -> Any:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    reader, writer = await connect(address, port, module.reach)
    try:
        if module.use_tls:
            try:
                await writer.start_tls(tls_context(module.tls), server_hostname=module.tls.server_name or run.hostname or host)
            except ssl.SSLError as error:
                raise Failed(f"TLS: {error}") from error
            show_tls(run, writer.get_extra_info("ssl_object"), not module.tls.insecure_skip_verify)
        run.phase(_DURATION, _DURATION_TEXT, "connect", loop.time() - began_s)
        began_s = loop.time()
        wire = question.to_wire()
        writer.write(struct.pack("!H", len(wire)) + wire)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = _parsed(await reader.readexactly(length))
    except asyncio.IncompleteReadError as error:
        raise Failed("the server closed the connection before it answered") from error
    finally:
        writer.close()
    run.phase(_DURATION, _DURATION_TEXT, "request", loop.time() - began_s)
    if answer.id != question.id:
        raise Failed("the answer belongs to another question")
    return answer


def _parsed(data: bytes) -> Any:
    try:
        return dns.message.from_wire(data, ignore_trailing=True)
    except (dns.exception.DNSException, struct.error) as error:
        raise Failed(f"the answer is not DNS: {error}") from error


def _judge(module: DnsModule, run: Run, answer: Any) -> bool:
    run.gauge("probe_dns_query_succeeded", "Whether the question was answered.", 1)
    sections = [_records(section) for section in (answer.answer, answer.authority, answer.additional)]
    for what, records in zip(("answer", "authority", "additional"), sections, strict=True):
        run.gauge(f"probe_dns_{what}_rrs", f"Records of the {what} section.", len(records))
    if module.type.upper() == "SOA":
        _serial(run, answer)
    code = dns.rcode.to_text(answer.rcode())
    run.log(f"{code}, {len(sections[0])} answers")
    if code not in module.valid_codes:
        run.log(f"{code} is none of {', '.join(module.valid_codes)}")
        return False
    checks = (("answer", module.answers), ("authority", module.authority), ("additional", module.additional))
    return all(_records_fit(run, what, records, check) for (what, check), records in zip(checks, sections, strict=True))


def _records(section: list[Any]) -> list[str]:
    """As Go's library writes them: fields with tabs between them."""
    return [
        f"{rrset.name}\t{rrset.ttl}\t{dns.rdataclass.to_text(rrset.rdclass)}\t{dns.rdatatype.to_text(rrset.rdtype)}\t{record}"
        for rrset in section
        for record in rrset
    ]


def _serial(run: Run, answer: Any) -> None:
    serials = [record.serial for rrset in answer.answer if rrset.rdtype == dns.rdatatype.SOA for record in rrset]
    if serials:
        run.gauge("probe_dns_serial", "The serial number of the zone.", serials[0])


def _records_fit(run: Run, what: str, records: list[str], checks: RecordChecks) -> bool:
    """Each list of expressions with its own meaning; an empty section meets a requirement of no record."""
    for pattern in checks.forbidden:
        if any(pattern.search(record) for record in records):
            return _no(run, what, f"a record matches {pattern.pattern!r}")
    for pattern in checks.not_all:
        if records and all(pattern.search(record) for record in records):
            return _no(run, what, f"all records match {pattern.pattern!r}")
    for pattern in checks.required:
        if any(not pattern.search(record) for record in records):
            return _no(run, what, f"a record does not match {pattern.pattern!r}")
    for pattern in checks.some:
        if records and not any(pattern.search(record) for record in records):
            return _no(run, what, f"no record matches {pattern.pattern!r}")
    if not records and (checks.required or checks.some):
        return _no(run, what, "there are no records to match")
    return True


def _no(run: Run, what: str, why: str) -> bool:
    run.log(f"{what} section: {why}")
    return False
