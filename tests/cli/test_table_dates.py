"""Dates of a table: the form that a user says, and what is said where it is in doubt."""

from __future__ import annotations

from pathlib import Path

from cli_cases import QUICK, refused

from chainrule.train import open_run
from chainrule.train.tabular import TableModel


def test_the_form_of_dates_can_be_said_and_is_kept(chainrule):
    """In the run's config, in its file of settings and in the model; the doubt tells the option."""
    rows = [f"{i % 7},0{1 + i % 9}/06/2019,{i % 2}" for i in range(60)]
    Path("a.csv").write_text("x,day sold,y\n" + "\n".join(rows) + "\n")
    words = ("train", "a.csv", "--target", "y", *QUICK)
    for more in ((), ("--kind", "day sold=date")):
        said = " ".join(chainrule(*words, *more, "--no-save").stdout.split())
        assert "dates as %m/%d/%Y, the month first (or %d/%m/%Y, the day first" in said
        assert "--form 'day sold=%d/%m/%Y'" in said
    assert chainrule(*words, "--form", "day sold=%d/%m/%Y").exit_code == 0
    run = open_run("a-0001")
    assert run.config["table"]["form"] == ["day sold=%d/%m/%Y"]
    model = TableModel.load(run.path / "model.safetensors")
    assert model.preprocessing.schema.features[1].form == "%d/%m/%Y"
    assert 'form = ["day sold=%d/%m/%Y"]' in (run.path / "config.toml").read_text()
    assert chainrule("train", "--config", "runs/a-0001/config.toml", "-q").exit_code == 0
    assert open_run("a-0002").config["table"] == run.config["table"] | {
        "data": open_run("a-0002").config["table"]["data"]
    }
    Path("b.csv").write_text("x,day sold,y\n1,2019-06-01,0\n2,13/06/2019,1\n")
    said = " ".join(refused(chainrule("predict", "a-0001", "b.csv")).split())
    assert "expected the form %d/%m/%Y" in said
    assert "'2019-06-01' in b.csv, line 2" in said


def test_days_in_digits_are_dates_by_their_name_or_by_their_form(chainrule):
    rows = [f"2019{1 + i % 12:02}{1 + i % 28:02},{i % 2},{1 + i % 7}" for i in range(60)]
    words = ("train", "a.csv", "--target", "y", *QUICK, "--no-save")
    for name, told in (("sold", "dates, too: --form 'sold=%Y%m%d' takes them for that"),
                       ("day sold", "date; dates as %Y%m%d, as the name says; "
                                    "--kind 'day sold=numeric' takes the numbers")):  # fmt: skip
        Path("a.csv").write_text(f"{name},y,x\n" + "\n".join(rows) + "\n")
        assert told in " ".join(chainrule(*words).stdout.split())


def test_dates_written_in_another_way_are_predicted_as_the_error_says(chainrule):
    """What the error offers is an option of these commands, and gives the same predictions."""
    for name, form in (("a.csv", "{d:02d}.{m:02d}.2019"), ("b.csv", "2019-{m:02d}-{d:02d}")):
        days = [form.format(d=1 + i % 27, m=1 + i % 11) for i in range(60)]
        rows = [f"{i % 7},{day},{i % 2}" for i, day in enumerate(days)]
        Path(name).write_text("x,day sold,y\n" + "\n".join(rows) + "\n")
    assert chainrule("train", "a.csv", "--target", "y", *QUICK).exit_code == 0
    for command in ("predict", "evaluate"):
        said = " ".join(refused(chainrule(command, "a", "b.csv")).split())
        assert "--form 'day sold=ISO'" in said
    told = chainrule("predict", "a", "b.csv", "--form", "day sold=ISO")
    assert told.stdout == chainrule("predict", "a", "a.csv").stdout
    assert chainrule("evaluate", "a", "b.csv", "--form", "day sold=ISO").exit_code == 0
    for wrong in ("ISO", "x=ISO", "day sold=ymd"):
        refused(chainrule("predict", "a", "b.csv", "--form", wrong))
    assert "--form" in refused(chainrule("predict", "a", "--form", "day sold=ISO"))
