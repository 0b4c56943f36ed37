"""Pushes to a Pushgateway, or to Catchment in its place, by the older interface: one object for a job and its
instance."""

from __future__ import annotations

from typing import Optional

from catchment.formats import ProtobufFormat
from catchment.push import delete, push, push_add
from catchment.registry import Registry
from catchment.transport import Transport


class Pusher:
    """Pushes registries of one job as protobuf, by the server's default door."""

    def __init__(
        self, job_name: str, addr: str, instance_name: Optional[str] = None, transport: Optional[Transport] = None
    ) -> None:
        """`addr` is the server's URL. Without `instance_name` the group is the whole job's."""
        self.job_name = job_name
        self.addr = addr
        self.instance_name = instance_name
        self.formatter = ProtobufFormat()
        self._transport = transport
        self._grouping_key = {"job": job_name} | ({"instance": instance_name} if instance_name else {})

    def add(self, registry: Registry) -> None:
        """Pushes with POST: families of the same names are replaced. Raises PushError if it is not accepted."""
        push_add(self.addr, registry, self._grouping_key, format=self.formatter, transport=self._transport)

    def replace(self, registry: Registry) -> None:
        """Pushes with PUT: the whole group is replaced. Raises PushError if it is not accepted."""
        push(self.addr, registry, self._grouping_key, format=self.formatter, transport=self._transport)

    def delete(self, registry: Optional[Registry] = None) -> None:
        """Deletes the group, whatever is in the registry. Raises PushError if it is not accepted."""
        delete(self.addr, self._grouping_key, transport=self._transport)
