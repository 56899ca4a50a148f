"""`seed_demo` as an operator runs it."""

from tests import services


def test_the_command_fills_a_running_site_and_speaks_the_language_of_the_shell(site: services.Site) -> None:
    assert site.manage("seed_demo", "--add", "--size", "1x2x3").endswith("The demo content is in place.\n")
    site.env["LC_ALL"] = "zh_CN.UTF-8"
    try:
        assert "演示内容已就绪" in site.manage("seed_demo", "--add", "--prefix", "more", "--size", "1x1x1")
    finally:
        del site.env["LC_ALL"]
