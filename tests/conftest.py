from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail: nothing here asserts how long something takes.
settings.register_profile("jobx", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("jobx")
