/** Conversations, kept in this browser and nowhere else. */
import { recovered, type Conversation } from './conversation'

const NAME = 'pointsman-console'
const STORE = 'conversations'

/** A database that cannot be opened, as in a private window, is one that forgets. */
export class Conversations {
  private constructor(private readonly database: IDBDatabase | null) {}

  static open(): Promise<Conversations> {
    return new Promise((resolve) => {
      const asked = indexedDB.open(NAME, 1)
      asked.onupgradeneeded = () => asked.result.createObjectStore(STORE, { keyPath: 'id' })
      asked.onsuccess = () => resolve(new Conversations(asked.result))
      asked.onerror = () => resolve(new Conversations(null))
    })
  }

  /** All of them, that which was changed last first. */
  async all(): Promise<Conversation[]> {
    const kept = (await this.ask<Conversation[]>('readonly', (store) => store.getAll())) ?? []
    return kept.map(recovered).sort((a, b) => b.changed - a.changed)
  }

  async keep(conversation: Conversation): Promise<void> {
    // A plain copy: what Vue watches cannot be kept.
    const plain: unknown = JSON.parse(JSON.stringify(conversation))
    await this.ask('readwrite', (store) => store.put(plain))
  }

  async remove(id: string): Promise<void> {
    await this.ask('readwrite', (store) => store.delete(id))
  }

  private ask<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest): Promise<T | undefined> {
    if (!this.database) return Promise.resolve(undefined)
    const request = act(this.database.transaction(STORE, mode).objectStore(STORE))
    return new Promise((resolve) => {
      request.onsuccess = () => resolve(request.result as T)
      request.onerror = () => resolve(undefined)
    })
  }
}
