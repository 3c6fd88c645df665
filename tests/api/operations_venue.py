"""A small venue with its operations door, for tests: people with tokens and keys, and HTTP without a network."""

import asyncio
import base64
import json
import queue
from contextlib import asynccontextmanager

from api_venue import Venue
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from httpx import ASGITransport, AsyncClient

from seawall.api.access import Access
from seawall.api.keystore import Approver, BreakGlass, Keystore, Operator, token_hash
from seawall.api.operations.app import operations_app
from seawall.api.operations.operations import Operations, Settings
from seawall.api.operations.record import Record
from seawall.journal.checkpoint import SigningKey

ROLES = {"olivia": "operator", "rita": "risk", "carl": "compliance", "dana": "developer", "ada": "auditor"}
ROLES["fay"] = "feeder"
APPROVERS = {"olivia": "operator", "rita": "risk", "carl": "compliance", "rob": "risk"}


class People:
    """Tokens of operators, private keys of approvers and the sealed one."""

    def __init__(self):
        self.tokens = {person: f"token-of-{person}" for person in ROLES}
        self.keys = {person: SigningKey.of(f"{person}/key", Ed25519PrivateKey.generate()) for person in APPROVERS}
        self.sealed = SigningKey.of("sealed/key", Ed25519PrivateKey.generate())

    def register(self, registry):
        registry.operators = [Operator(person, role, token_hash(self.tokens[person])) for person, role in ROLES.items()]
        registry.approvers = [
            Approver(person, role, self.keys[person].public.vkey) for person, role in APPROVERS.items()
        ]
        registry.break_glass = BreakGlass(self.sealed.public.vkey)

    def signature(self, person, payload):
        key = self.sealed if person == "sealed" else self.keys[person]
        return {"key": key.public.vkey, "signature": base64.b64encode(key.private.sign(payload)).decode()}


class Desk:
    """What people do, over HTTP."""

    def __init__(self, venue, operations, people, client):
        self.venue, self.operations, self.people, self.client = venue, operations, people, client
        self.view, self.service, self.alerts = venue.view, venue.service, operations.alerts

    async def get(self, path, by="olivia", /, status=200):
        answer = await self.client.get(path, headers=self._headers(by))
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json()

    async def post(self, path, by="olivia", /, status=200, **body):
        answer = await self.client.post(path, headers=self._headers(by), content=json.dumps(body))
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json()

    async def propose(self, path, by="olivia", /, **body):
        """The id and the bytes of a proposal."""
        answer = await self.post(path, by, **body)
        assert answer.get("proposed"), answer
        return answer["proposal"]["id"], answer["proposal"]["payload"].encode()

    async def sign(self, id_, payload, *people, status=200):
        """Signatures of several people, all but the last of which must be taken."""
        for number, person in enumerate(people):
            given = self.people.signature(person, payload)
            last = number == len(people) - 1
            answer = await self.post(f"/proposals/{id_}/signatures", status=status if last else 200, **given)
        return answer

    def _headers(self, person):
        headers = {"content-type": "application/json"}
        return headers | ({"authorization": f"Bearer {self.people.tokens[person]}"} if person else {})


@asynccontextmanager
async def desk(folder, people=None, store=None, record=None, backup="", **settings):
    """A venue with its operations door, and what the writer's thread tells run on this loop."""
    people = people or People()
    venue = Venue(folder, **({"options": False, "days": 0} | settings))
    store = store or Keystore()
    people.register(store.registry)
    store.registry.keys |= venue.service.access.keys
    venue.service.access = Access(store)
    record = record or Record()
    operations = Operations(venue.service, Settings(store, backup, feeds=True), record)
    pump = asyncio.create_task(_pump(venue))
    try:
        transport = ASGITransport(operations_app(operations))
        async with AsyncClient(transport=transport, base_url="http://operations") as client:
            yield Desk(venue, operations, people, client)
    finally:
        pump.cancel()
        venue.stop()


async def _pump(venue):
    while True:
        try:
            venue._told.get_nowait()()
        except queue.Empty:
            await asyncio.sleep(0.001)
