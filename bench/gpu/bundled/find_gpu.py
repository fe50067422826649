"""Which GPUs answer, asked of the driver itself: no CUDA has to be installed."""

import ctypes
import os
import re

DRIVER = "libcuda.so.1"
MIN_DRIVER = 13000  # CUDA 13.0
MIN_CAPABILITY = (8, 0)
KERNEL_MODULE = "/proc/driver/nvidia/version"
FILES = ("/dev/nvidiactl", "/dev/nvidia0", KERNEL_MODULE)
MULTIPROCESSORS, MAJOR, MINOR = 16, 75, 76  # CUdevice_attribute


def cuda(version):
    return f"{version // 1000}.{version % 1000 // 10}"


def error_name(driver, error):
    text = ctypes.c_char_p()
    driver.cuGetErrorName(error, ctypes.byref(text))
    return text.value.decode() if text.value else f"error {error}"


def attribute(driver, device, which):
    value = ctypes.c_int()
    driver.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    return value.value


def describe(driver, index):
    device, name, total = ctypes.c_int(), ctypes.create_string_buffer(128), ctypes.c_size_t()
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(total), device)
    return {
        "name": name.value.decode(),
        "compute_capability": [attribute(driver, device, which) for which in (MAJOR, MINOR)],
        "multiprocessors": attribute(driver, device, MULTIPROCESSORS),
        "bytes": total.value,
    }


def ask_driver(looked):
    """The driver's version and its GPUs; what was in the way is added to `looked`."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError as error:
        looked.append(f"{DRIVER}: {error}")
        return None, []
    error = driver.cuInit(0)
    if error:
        looked.append(f"{DRIVER}: cuInit says {error_name(driver, error)}")
        return None, []
    version, count = ctypes.c_int(), ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    driver.cuDeviceGetCount(ctypes.byref(count))
    looked.append(f"{DRIVER}: for CUDA {cuda(version.value)}, {count.value} GPUs")
    return version.value, [describe(driver, i) for i in range(count.value)]


def driver_release():
    """Of the kernel's module, "580.65.06"; None where it does not say."""
    try:
        with open(KERNEL_MODULE, encoding="utf-8") as text:
            found = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", text.read())
    except OSError:
        return None
    return found and found[1]


def find_gpu():
    """{"usable", "driver", "driver_release", "gpus", "looked", "why"}; the programs take the first
    GPU."""
    looked = [f"{path}: {'there' if os.path.exists(path) else 'not there'}" for path in FILES]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        looked.append(f"CUDA_VISIBLE_DEVICES={visible}")
    driver, gpus = ask_driver(looked)
    why = ""
    if not gpus:
        why = "no GPU was found"
    elif driver < MIN_DRIVER:
        why = f"the driver is for CUDA {cuda(driver)}, {cuda(MIN_DRIVER)} is needed"
    elif tuple(gpus[0]["compute_capability"]) < MIN_CAPABILITY:
        why = "compute capability {}.{}, 8.0 is needed".format(*gpus[0]["compute_capability"])
    return {"usable": not why, "driver": driver, "driver_release": driver_release(), "gpus": gpus,
            "looked": looked, "why": why}


def say(found, program):
    """Prints what was found; returns whether it can be used."""
    for gpu in found["gpus"]:
        print("{}: {}, compute capability {}.{}, {} multiprocessors, {:.0f} GB".format(
            program, gpu["name"], *gpu["compute_capability"], gpu["multiprocessors"],
            gpu["bytes"] / 1e9), flush=True)
    if found["usable"]:
        return True
    print(f"{program}: {found['why']}. Looked for:")
    for line in found["looked"]:
        print(f"  {line}")
    return False


def lora_pages(found):
    """Of 2 MiB, for chorus_lora_bench's pool: 16 GiB, or what half of a smaller GPU allows."""
    return min(8192, found["gpus"][0]["bytes"] // 2 >> 21)
