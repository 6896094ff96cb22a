"""placeholder"""


def dashboard_routes(*_: object) -> list[object]:
    return []
