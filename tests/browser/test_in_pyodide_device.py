"""The GPU device inside Pyodide: its clock, its buffers, its end."""

from __future__ import annotations

from typing import Any


def test_the_host_clock_runs_while_there_is_work(python: Any) -> None:
    waited, worked, read = python.run_async("""
        import asyncio, time
        from webllm_py.gpu import open_device

        def work(seconds, done):
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                pass
            done.set_result(None)

        device = await open_device()
        buffer = device.create_buffer("a", 16)
        async with device.host_clock() as clock:
            pauses = []  # the least: what else the machine does may interrupt one
            for _ in range(3):
                before = clock()
                await asyncio.sleep(0.2)
                pauses.append(clock() - before)
            before = clock()
            done = asyncio.Future()
            asyncio.get_running_loop().call_soon(work, 0.2, done)
            await done
            worked = clock() - before
            before = clock()
            for _ in range(20):
                await device.read(buffer, 0, 16)
            read = clock() - before
        device.close()
        [min(pauses), worked, read]
        """)
    assert waited < 0.1
    assert worked > 0.19
    assert read > 0


def test_plans_go_on_with_larger_buffers(python: Any) -> None:
    pages, held = python.run_async("""
        import struct
        from webllm_py.gpu import open_device
        from webllm_py.gpu.device import Dispatch
        from webllm_py.gpu.kernels import kernel
        from webllm_py.gpu.owner import BufferOwner

        device = await open_device()
        owner = BufferOwner(device)
        step, kv = owner.create("step", 16), owner.create("kv", 32)
        copy = Dispatch(kernel("copy_page", UNITS=1), {"step": step, "kv": kv}, (1, 1, 1))
        plan = await device.record("copy", [copy])
        device.write(kv, 0, bytes(range(16)))
        for source, target in ((0, 1), (1, 3)):
            if target * 16 >= kv.size:
                await owner.enlarge([kv], 64, 32)
            device.write(step, 8, struct.pack("<2I", source, target))
            device.replay(plan)
        pages = (await device.read(kv, 0, 64)).hex()
        await device.check()
        held = [device.n_buffers, device.allocated]
        device.close()
        [pages, held]
        """)
    page = bytes(range(16))
    assert bytes.fromhex(pages) == page * 2 + bytes(16) + page
    assert held == [2, 80]


def test_closing_ends_reads_that_wait(python: Any) -> None:
    told = python.run_async("""
        import asyncio
        from webllm_py.errors import DeviceLostError
        from webllm_py.gpu import open_device

        device = await open_device()
        buffer = device.create_buffer("a", 16)
        reading = device.read(buffer, 0, 16)
        device.close()
        told = []
        for wait in (reading, device.read(buffer, 0, 16)):
            try:
                async with asyncio.timeout(60):
                    await wait
            except DeviceLostError as error:
                told.append(str(error))
        told
        """)
    assert len(told) == 2
    assert all("closed" in text for text in told)
