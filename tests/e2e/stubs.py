"""The generated client code, made from proto/ into the build directory when it is not there yet."""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc
import grpc_tools

SOURCE = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("CHORUS_BIN_DIR", SOURCE / "build/release/bin"))


def generate() -> Path:
    protos = sorted((SOURCE / "proto").rglob("*.proto"))
    content = b"".join(proto.read_bytes() for proto in protos)
    target = BIN.parent / "e2e_stubs" / hashlib.sha256(content).hexdigest()[:16]
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as made:
        well_known = Path(grpc_tools.__file__).parent / "_proto"
        arguments = ["protoc", f"-I{SOURCE / 'proto'}", f"-I{well_known}"]
        arguments += [f"--python_out={made}", f"--grpc_python_out={made}"]
        if protoc.main(arguments + [str(proto) for proto in protos]) != 0:
            raise RuntimeError("protoc failed on proto/")
        try:  # other test processes may make them at the same time
            shutil.copytree(made, f"{made}.whole")
            os.rename(f"{made}.whole", target)
        except OSError:
            shutil.rmtree(f"{made}.whole", ignore_errors=True)
            if not target.is_dir():
                raise
    return target


sys.path.insert(0, str(generate()))

from chorus.v1 import adapters_pb2, adapters_pb2_grpc  # noqa: E402, F401
from chorus.v1 import admin_pb2, admin_pb2_grpc  # noqa: E402, F401
from chorus.v1 import error_pb2  # noqa: E402, F401
from chorus.v1 import inference_pb2, inference_pb2_grpc  # noqa: E402, F401
