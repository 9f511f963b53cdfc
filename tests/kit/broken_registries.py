"""One registry per clause, and more where a clause can be broken in several ways: each a good one with one planted defect."""

import threading
import time
from dataclasses import replace

from prismlib.errors import RegistryUnavailableError, SchemaNotFoundError
from tests.kit.broken import Broken
from tests.kit.registries import PlainRegistry, PlainRegistryHarness


class ForgetsReferences(PlainRegistry):
    def by_id(self, schema_id):
        return replace(super().by_id(schema_id), references=())


class AnswersWithTheLatestOfAll(PlainRegistry):
    def by_id(self, schema_id):
        super().by_id(schema_id)
        return self.latest(self.subjects()[-1])


class NamesAnotherSubject(PlainRegistry):
    def by_id(self, schema_id):
        return replace(super().by_id(schema_id), subject=self.subjects()[-1])


class RemembersTheLatest(PlainRegistry):
    def latest(self, subject):
        self.kept = getattr(self, "kept", {})
        return self.kept.setdefault(subject, super().latest(subject))


class TakesTheFirstForTheLatest(PlainRegistry):
    def latest(self, subject):
        return self.released(subject)[0]


class AnswersEveryVersionWithTheLatest(PlainRegistry):
    def version(self, subject, version):
        super().version(subject, version)
        return self.latest(subject)


class ListsTheNewestFirst(PlainRegistry):
    def versions(self, subject):
        return super().versions(subject)[::-1]


class ListsSubjectsAsTheyCame(PlainRegistry):
    def subjects(self):
        return list(self.everything())


class RemembersSubjects(PlainRegistry):
    def subjects(self):
        self.kept = getattr(self, "kept", None) or super().subjects()
        return self.kept


class TakesVersionsForAnIndex(PlainRegistry):
    def version(self, subject, version):
        try:
            return self.released(subject)[version - 1]
        except IndexError as error:
            raise SchemaNotFoundError("no such version") from error


class RemembersWhatItDidNotFind(PlainRegistry):
    def versions(self, subject):
        self.unknown = getattr(self, "unknown", set())
        if subject in self.unknown:
            raise SchemaNotFoundError("not found before")
        try:
            return super().versions(subject)
        except SchemaNotFoundError:
            self.unknown.add(subject)
            raise


class CannotKeepLargeIds(PlainRegistry):
    def by_id(self, schema_id):
        if schema_id >= 2**31:
            raise RegistryUnavailableError("the server failed")
        return super().by_id(schema_id)


class FindsNothingWhenAway(PlainRegistry):
    def everything(self):
        return super().everything() if self.schemas.reachable else {}


class StaysAway(PlainRegistry):
    def everything(self):
        try:
            return {} if getattr(self, "failed", False) else super().everything()
        except RegistryUnavailableError:
            self.failed = True
            raise


class SharesItsQuestion(PlainRegistry):
    def version(self, subject, version):
        self.asked = version
        time.sleep(0.001)
        return super().version(subject, self.asked)


class BreaksInThreads(PlainRegistry):
    def by_id(self, schema_id):
        self.thread = getattr(self, "thread", None) or threading.get_ident()
        if self.thread != threading.get_ident():
            raise RuntimeError("made in another thread")
        return super().by_id(schema_id)


class RegistersInItsOwnMemory(PlainRegistry):
    def register(self, subject, schema_format, text, references=()):
        self.schemas = replace(self.schemas, versions=dict(self.schemas.versions))
        return super().register(subject, schema_format, text, references)


class RegistersAnew(PlainRegistry):
    def register(self, subject, schema_format, text, references=()):
        return self.schemas.add(subject, text, references)


class ReturnsTheFirstVersion(PlainRegistry):
    def register(self, subject, schema_format, text, references=()):
        super().register(subject, schema_format, text, references)
        return self.version(subject, 1)


class ForgetsWhatItImports(PlainRegistry):
    def register(self, subject, schema_format, text, references=()):
        return super().register(subject, schema_format, text)


class TakesAnyText(PlainRegistry):
    def check(self, text, references):
        pass


class TakesAnyImport(PlainRegistry):
    def check(self, text, references):
        super().check(text, ())


class AddsBeforeItChecks(PlainRegistry):
    def register(self, subject, schema_format, text, references=()):
        released = self.schemas.versions.get(subject, [])
        if text not in [one.text for one in released]:
            self.schemas.add(subject, text, references)
            self.check(text, references)
        return next(one for one in self.schemas.versions[subject] if one.text == text)


class HasNoLevels(PlainRegistry):
    def check_level(self, text):
        pass


BROKEN_REGISTRIES = [
    Broken("REG-01", ForgetsReferences, "it imports", PlainRegistryHarness),
    Broken("REG-01", AnswersWithTheLatestOfAll, "was asked for", PlainRegistryHarness),
    Broken("REG-01", NamesAnotherSubject, "names b version 1, whose id is 2", PlainRegistryHarness),
    Broken("REG-02", RemembersTheLatest, "released was", PlainRegistryHarness),
    Broken("REG-02", TakesTheFirstForTheLatest, "released was", PlainRegistryHarness),
    Broken("REG-03", AnswersEveryVersionWithTheLatest, "since version 2 was released", PlainRegistryHarness),
    Broken("REG-04", ListsTheNewestFirst, "versions says", PlainRegistryHarness),
    Broken("REG-04", ListsSubjectsAsTheyCame, "subjects says", PlainRegistryHarness),
    Broken("REG-04", RemembersSubjects, "subjects says", PlainRegistryHarness),
    Broken("REG-05", TakesVersionsForAnIndex, "version 0 raised no SchemaNotFoundError", PlainRegistryHarness),
    Broken("REG-05", RemembersWhatItDidNotFind, "not found before", PlainRegistryHarness),
    Broken("REG-05", CannotKeepLargeIds, "raised RegistryUnavailableError", PlainRegistryHarness),
    Broken("REG-06", FindsNothingWhenAway, "raised SchemaNotFoundError", PlainRegistryHarness),
    Broken("REG-06", StaysAway, "SchemaNotFoundError", PlainRegistryHarness),
    Broken("REG-07", SharesItsQuestion, "one of several", PlainRegistryHarness),
    Broken("REG-07", BreaksInThreads, "made in another thread", PlainRegistryHarness),
    Broken("REW-01", RegistersInItsOwnMemory, "raised SchemaNotFoundError", PlainRegistryHarness),
    Broken("REW-01", ReturnsTheFirstVersion, "released was", PlainRegistryHarness),
    Broken("REW-01", ForgetsWhatItImports, "it imports", PlainRegistryHarness),
    Broken("REW-02", RegistersAnew, "registered again it is", PlainRegistryHarness),
    Broken("REW-03", TakesAnyText, "raised no SchemaParseError", PlainRegistryHarness),
    Broken("REW-03", TakesAnyImport, "raised no SchemaParseError", PlainRegistryHarness),
    Broken("REW-03", AddsBeforeItChecks, "after refusals only", PlainRegistryHarness),
    Broken("REW-04", HasNoLevels, "raised no IncompatibleSchemaError", PlainRegistryHarness),
]
