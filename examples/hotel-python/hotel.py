"""A participant in another language: plain gRPC, with no Sagamesh code in it.

What makes it a safe participant is one table, keyed by the `idempotency-key` that every call carries: a repeat gets
the first answer, and a Reserve that arrives after its Release is refused.

    pip install grpcio grpcio-tools grpcio-reflection
    python hotel.py 50051
"""

import sys
import threading
from concurrent import futures
from pathlib import Path

import grpc
from grpc_reflection.v1alpha import reflection

sys.path.insert(0, str(Path(__file__).parent))
hotel, hotel_grpc = grpc.protos_and_services("hotel.proto")

NAME = hotel.DESCRIPTOR.services_by_name["HotelService"].full_name
LIMIT = 1_000


class Hotel(hotel_grpc.HotelServiceServicer):
    def __init__(self):
        self.lock = threading.Lock()
        self.answers = {}  # idempotency-key -> the first answer; None where the undo came first
        self.rooms = {}  # the Reserve's key -> room

    def key(self, context):
        return dict(context.invocation_metadata()).get("idempotency-key", "")

    def Reserve(self, request, context):
        key = self.key(context)
        with self.lock:
            if key not in self.answers:
                self.rooms[key] = f"room {101 + len(self.answers)}"
                self.answers[key] = hotel.ReserveResponse(room=self.rooms[key], price=300 * request.nights)
            if self.answers[key] is None:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "released before it was reserved")
            return self.answers[key]

    def Release(self, request, context):
        reserve = self.key(context).removesuffix("/undo") + "/forward"
        with self.lock:
            self.rooms.pop(reserve, None)
            self.answers.setdefault(reserve, None)
        return hotel.ReleaseResponse()

    def Pay(self, request, context):
        if request.amount > LIMIT:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{request.guest} may pay {LIMIT} at most")
        return hotel.PayResponse(receipt=f"R-{self.key(context)}")

    def CountRooms(self, request, context):
        with self.lock:
            return hotel.CountRoomsResponse(taken=len(self.rooms))


def main(port):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    hotel_grpc.add_HotelServiceServicer_to_server(Hotel(), server)
    reflection.enable_server_reflection([NAME, reflection.SERVICE_NAME], server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print(f"{NAME} on 127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50051)
