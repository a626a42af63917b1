-- Why a definition was archived, in the words of the person who did it; empty where nothing was said.
alter table definition add column archive_reason text not null default '';
